package config

import "slices"

// SnapshotMode is when the rows of a stream's entities are read.
type SnapshotMode string

// When rows are read.
const (
	SnapshotNever      SnapshotMode = "never"       // only when somebody asks
	SnapshotInitial    SnapshotMode = "initial"     // all of them when the stream begins, and then as needed
	SnapshotWhenNeeded SnapshotMode = "when_needed" // those that a gap lacks
)

// Repair is what is done about the gaps of a stream.
type Repair string

// The ways to treat gaps.
const (
	RepairAuto   Repair = "auto"   // their rows are read when the gap is known
	RepairManual Repair = "manual" // when somebody asks
	RepairOff    Repair = "off"    // not even then
)

// Reader is the way in which rows are read.
type Reader string

// The ways to read rows.
const (
	ReaderAuto Reader = "auto" // by the number of rows
	ReaderREST Reader = "rest"
	ReaderBulk Reader = "bulk"
)

// Snapshot says how rows are read, whatever for.
type Snapshot struct {
	Reader   Reader
	Parallel int // ranges of one object that are read side by side
	PageRows int // of a REST query
	BulkFrom int // rows from which on ReaderAuto takes jobs of Bulk API 2.0
	MaxJobs  int // of Bulk API 2.0 at the same time, in each instance
}

// streamSnapshotFields are the keys of a stream that are about rows.
func streamSnapshotFields(s *Stream) []field {
	return []field{
		{key: "snapshot", derived: "initial for /data/ channels, never for others", example: string(SnapshotWhenNeeded), optional: true, value: choice(&s.Snapshot, SnapshotNever, SnapshotInitial, SnapshotWhenNeeded),
			meaning: "When the rows of the org are read, and written as records of the change type SNAPSHOT: initial reads all rows of the stream's entities when a stream without a stored position begins, and those that a gap lacks; when_needed only the latter; never none. 'bridge snapshot' reads them whatever this says. A channel that carries several entities needs entities to be named for initial. For /data/ channels only."},
		{key: "repair", derived: "auto; off where snapshot is never", example: string(RepairManual), optional: true, value: choice(&s.Repair, RepairAuto, RepairManual, RepairOff),
			meaning: "What to do about a gap of the stream: auto reads the rows that it lacks, manual waits for 'bridge gaps repair', off refuses that too. For /data/ channels only."},
	}
}

func snapshotFields(s *Snapshot) []field {
	return []field{
		{key: "reader", def: string(ReaderAuto), value: choice(&s.Reader, ReaderAuto, ReaderREST, ReaderBulk),
			meaning: "How rows are read: rest by queries, bulk by jobs of Bulk API 2.0, which cost few calls and take longer to begin; auto decides by bulk_from. What Bulk API does not have is read by queries."},
		{key: "parallel", def: "2", value: integer(&s.Parallel, 1, 16, false),
			meaning: "How many ranges of an entity's rows are read side by side."},
		{key: "page_rows", def: "2000", value: integer(&s.PageRows, 200, 2000, false),
			meaning: "Rows that a query asks for; Salesforce may give fewer."},
		{key: "bulk_from", def: "50000", value: integer(&s.BulkFrom, 1, 1_000_000_000, false),
			meaning: "Number of rows from which on reader: auto takes Bulk API 2.0."},
		{key: "max_jobs", def: "1", value: integer(&s.MaxJobs, 1, 20, false),
			meaning: "Most jobs of Bulk API 2.0 that an instance has at the same time."},
	}
}

// checkSnapshots holds which streams have rows, and gives each its defaults.
func (w *walker) checkSnapshots(c *Config) {
	for i := range c.Streams {
		s, path := &c.Streams[i], index("streams", i)
		snapshot, repair := path+".snapshot", path+".repair"
		if s.Kind != ChangeData {
			for _, given := range []string{snapshot, repair} {
				if s.Kind != 0 && w.given(given) {
					w.fail(w.line(given), given, "is for change data (/data/…): other events have no rows", "its removal")
				}
			}
			s.Snapshot, s.Repair = SnapshotNever, RepairOff
			continue
		}
		switch {
		case s.Snapshot == "":
			s.Snapshot = SnapshotInitial // where entities are not known, the start tells
		case s.Snapshot == SnapshotInitial && len(s.KnownObjects()) == 0:
			w.warn(snapshot, "nothing is read when the stream begins: which entities "+quote(s.Channel)+" carries is known from its events alone", "entities: {Account: {}, Contact: {}}, or snapshot: when_needed")
		}
		if s.Repair == "" {
			s.Repair = RepairAuto
			if s.Snapshot == SnapshotNever {
				s.Repair = RepairOff
			}
		}
	}
}

// Carries says whether a stream may have events of an object, as far as is known
// before they come.
func (s *Stream) Carries(object string) bool {
	if !s.Multi {
		return s.Object() == object
	}
	return s.mayCarry(object)
}

// SnapshotObjects are the objects whose rows are read when the stream begins.
func (s *Stream) SnapshotObjects() []string {
	if s.Snapshot != SnapshotInitial {
		return nil
	}
	return s.KnownObjects()
}

// KnownObjects are those that a stream of change data carries, as far as the
// configuration tells.
func (s *Stream) KnownObjects() []string {
	if s.Kind != ChangeData {
		return nil
	}
	if !s.Multi {
		return []string{s.Object()}
	}
	names := make([]string, len(s.Entities))
	for i, e := range s.Entities {
		names[i] = e.Name
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// ChannelOf is the channel of one object's change events.
func ChannelOf(object string) string { return "/data/" + changeEventOf(object) }
