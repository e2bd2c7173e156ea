package cli

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/replay"
	"github.com/sfbridge/bridge/transform"
)

// streamSite is a site whose bridge has carried some accounts.
type streamSite struct {
	*schemaSite
	ids []string // replay ids of the events, in order
}

func newStreamSite(t *testing.T, events int) *streamSite {
	t.Helper()
	s := &streamSite{schemaSite: newSchemaSite(t, "", accountEvents)}
	s.publish(t, events, nil)
	s.runs(t, events)
	for e := range s.org.LedgerFrom(0) {
		s.ids = append(s.ids, strconv.FormatInt(e.ReplayID, 10))
	}
	return s
}

// positions runs a command that must end with a code, and returns all it says.
func (s *schemaSite) positions(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	got, stdout, stderr := call(t, slices.Concat([]string{"positions"}, args, []string{"-c", s.path})...)
	if got != code {
		t.Fatalf("positions %v: exit code %d, want %d:\n%s%s", args, got, code, stdout, stderr)
	}
	return stdout, stderr
}

// position is what the topic has of the accounts.
func (s *schemaSite) position(t *testing.T) positionDetail {
	t.Helper()
	out, _ := s.positions(t, 0, "get", "--channel", accountEvents, "--json")
	var d positionDetail
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return d
}

// written is how many records the positions topic holds, of whatever kind.
func (s *schemaSite) written(t *testing.T, topic string) int64 {
	t.Helper()
	cl, err := kgo.NewClient(s.kafka...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	ends.Each(func(l kadm.ListedOffset) { n += max(0, l.Offset) })
	return n
}

// times is how often the record of each event came, in the order of the events.
func (s *streamSite) times(t *testing.T) []int {
	t.Helper()
	count := make(map[oracle.Record]int)
	for _, r := range s.records(t) {
		r.Topic = ""
		count[r]++
	}
	var out []int
	for _, r := range oracle.Expected(s.org.LedgerFrom(0), s.channels) {
		out = append(out, count[r])
	}
	return out
}

func (s *streamSite) came(t *testing.T, want ...int) {
	t.Helper()
	if got := s.times(t); !slices.Equal(got, want) {
		t.Errorf("the events came %v times, want %v", got, want)
	}
}

// A stream that is set back brings what follows the id once more, and undo puts it
// where it was. A dry run and an answer that is not the name of the bridge write
// nothing.
func TestPositionsSetAndUndo(t *testing.T) {
	s := newStreamSite(t, 6)
	before := s.written(t, positionsTopic)
	set := []string{"set", "--channel", accountEvents, "--id", s.ids[3]}
	out, _ := s.positions(t, 0, append(set, "--dry-run")...)
	for _, says := range []string{"behind replay id " + s.ids[5], "behind replay id " + s.ids[3], "bridge replay --channel " + accountEvents + " --from-id " + s.ids[3] + " --dry-run", "nothing was changed"} {
		if !strings.Contains(out, says) {
			t.Errorf("%q does not say %q", out, says)
		}
	}
	if _, errs := s.positions(t, 2, set...); !strings.Contains(errs, "not confirmed; nothing was written") {
		t.Error(errs)
	}
	if now := s.written(t, positionsTopic); now != before {
		t.Errorf("%d records were written", now-before)
	}
	if out, _ = s.positions(t, 0, append(set, "--yes")...); !strings.Contains(out, "done: "+accountEvents+", taken up at the next start") || !strings.Contains(out, "bridge positions undo") {
		t.Error(out)
	}
	if p := s.position(t); p.Position != s.ids[3] || p.Undo == nil || p.Undo.To.Position != s.ids[5] {
		t.Errorf("%+v", p)
	}
	s.runs(t, 8)
	s.came(t, 1, 1, 1, 1, 2, 2)
	s.positions(t, 0, "set", "--channel", accountEvents, "--id", s.ids[0], "--yes")
	s.positions(t, 0, "undo", "--channel", accountEvents, "--yes")
	if p := s.position(t); p.Position != s.ids[5] || p.EventTime.IsZero() || p.Undo == nil || p.Undo.To.Position != s.ids[0] {
		t.Errorf("%+v", p)
	}
	s.publish(t, 1, nil)
	s.runs(t, 9)
	s.came(t, 1, 1, 1, 1, 2, 2, 1)
}

// What is wrong is told with its exit code before anything is written.
func TestPositionsRefused(t *testing.T) {
	s := newStreamSite(t, 2)
	future := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	unreachable, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = unreachable.Close() // nobody listens there any more
	before := s.written(t, positionsTopic)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"set", "--channel", accountEvents}, "--channel and --id"},
		{[]string{"set", "--channel", accountEvents, "--id", "-2", "--yes"}, "is no replay id"},
		{[]string{"set", "--channel", accountEvents, "--id", "999999", "--yes"}, "the org takes no replay id 999999"},
		{[]string{"set", "--channel", "/event/No__e", "--id", "1", "--yes"}, "not one of the configuration's"},
		{[]string{"rewind", "--to-earliest"}, "say which channels"},
		{[]string{"rewind", "--all", "--channel", accountEvents, "--to-earliest"}, "say which channels"},
		{[]string{"rewind", "--all"}, "say where to"},
		{[]string{"rewind", "--all", "--to-earliest", "--to-time", "2h"}, "say where to"},
		{[]string{"rewind", "--all", "--to-id", "1"}, "belongs to one channel"},
		{[]string{"rewind", "--all", "--to-time", "yesterday"}, "is no time"},
		{[]string{"rewind", "--all", "--to-time", future}, "in the future"},
		{[]string{"rewind", "--all", "--to-time", "73h"}, "try: --to-earliest"},
		{[]string{"rewind", "--all", "--to-time", "1ms"}, "nothing to go back to"},
		{[]string{"undo"}, "say of which streams"},
		{[]string{"undo", "--channel", accountEvents}, "nothing to undo"},
		{[]string{"get"}, "say which stream"},
		{[]string{"list", "--channel", "/event/No__e"}, "has no position"},
		{[]string{"import"}, "say what to read"},
		{[]string{"import", "--from", "elsewhere"}, "is neither"},
		{[]string{"import", "--file", "no-such-file"}, "no such file"},
		{[]string{"import", "--connector", "c", "--file", "f"}, "go with --from confluent-connect"},
		{[]string{"import", "--from", "confluent-connect"}, "--file or --offsets-topic"},
		{[]string{"import", "--from", "confluent-connect", "--offsets-topic", "t"}, "needs --connector"},
		{[]string{"import", "--from", "confluent-connect", "--offsets-topic", "t", "--connector", "c"}, "no offsets of a connector"},
	} {
		if _, errs := s.positions(t, 2, c.args...); !strings.Contains(errs, c.says) {
			t.Errorf("%v: %q does not say %q", c.args, errs, c.says)
		}
	}
	if now := s.written(t, positionsTopic); now != before {
		t.Errorf("%d records were written", now-before)
	}
	s.edit(t, s.kafkaAddress(t), unreachable.Addr().String())
	if _, errs := s.positions(t, 3, "set", "--channel", accountEvents, "--id", s.ids[0], "--yes"); !strings.Contains(errs, "none of the brokers") {
		t.Error(errs)
	}
}

// kafkaAddress is the broker's, as the configuration has it.
func (s *schemaSite) kafkaAddress(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`brokers: \["(.*)"\]`).FindStringSubmatch(string(text))[1]
}

// The time is looked up in the index, and what is read and lies before it is not
// written. The estimate counts what came since.
func TestPositionsRewindToTime(t *testing.T) {
	s := newStreamSite(t, 5)
	s.moment(t, s.ids[1], time.Now().Add(-20*time.Minute))
	s.org.AdvanceClock(5 * time.Millisecond)
	s.publish(t, 2, nil)
	s.runs(t, 7)
	var at time.Time
	for e := range s.org.LedgerFrom(5) {
		at = e.Commit
		break
	}
	out, _ := s.positions(t, 0, "rewind", "--channel", accountEvents, "--to-time", at.Format(time.RFC3339Nano), "--yes", "--json")
	var r changesReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Changes) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	c := r.Changes[0]
	if !c.Applied || !c.To.Since.Equal(at) || c.To.Position != s.ids[1] || c.Twice == nil || *c.Twice < 2 || *c.Twice > 2+7 {
		t.Errorf("%s", out)
	}
	s.runs(t, 9)
	s.came(t, 1, 1, 1, 1, 1, 2, 2)
}

// moment enters a place into the index of the stream.
func (s *streamSite) moment(t *testing.T, id string, at time.Time) {
	t.Helper()
	store, err := replay.Open(t.Context(), replay.Config{Client: s.kafka, Topic: positionsTopic, Org: s.org.ID(), Lanes: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	cl, err := kgo.NewClient(append(s.kafka, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	m := replay.Moment{Key: replay.Key{Org: s.org.ID(), Channel: accountEvents}, Time: at, Position: replay.Position(id)}
	if err := cl.ProduceSync(t.Context(), store.MomentRecord(m)).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func TestPositionsRewindToEarliest(t *testing.T) {
	s := newStreamSite(t, 3)
	s.positions(t, 0, "rewind", "--all", "--to-earliest", "--yes")
	if p := s.position(t); p.Position != "" || p.Cliff == nil || *p.Cliff > 0.1 || *p.Cliff < 0 {
		t.Errorf("%+v", p)
	}
	s.runs(t, 6)
	s.came(t, 2, 2, 2)
	if gaps := s.written(t, "demo.gaps"); gaps != 0 {
		t.Errorf("%d gaps were entered", gaps)
	}
}

// The stream is quiet, so that its owner would not notice for an hour that it was
// fenced. It is told, takes the lane up from the new position, and goes on.
func TestPositionsRewindWhileItRuns(t *testing.T) {
	s := newStreamSite(t, 4)
	r := s.run(t)
	eventually(t, func() error {
		if m := r.stats.Membership(); !m.Joined || len(m.Starting) > 0 || len(m.Lanes) != 2 {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
	for range 4 { // more often than a lane may be fenced from outside of the group
		out, errs := s.positions(t, 0, "set", "--channel", accountEvents, "--id", s.ids[1], "--yes")
		if !strings.Contains(out, "taken up anew by the instances that run") {
			t.Fatal(out, errs)
		}
	}
	eventually(t, func() error {
		if got := s.times(t); got[3] < 2 {
			return fmt.Errorf("came %v times", got)
		}
		return nil
	})
	if p := s.position(t); p.Instance == "" {
		t.Errorf("%+v", p)
	}
	s.publish(t, 1, nil)
	eventually(t, func() error {
		if got := s.times(t); got[4] != 1 {
			return fmt.Errorf("came %v times", got)
		}
		return nil
	})
	r.drain()
	got := s.times(t)
	if got[0] != 1 || got[1] != 1 || got[2] < 2 || got[2] > 5 {
		t.Errorf("the events came %v times", got)
	}
}

func TestPositionsOfAtLeastOnceAreSetAtRest(t *testing.T) {
	s := newStreamSite(t, 2)
	s.edit(t, "lanes: 2\n", "lanes: 2\ndelivery: at_least_once\n")
	r := s.run(t)
	eventually(t, func() error {
		if streams := r.stats.Snapshot(); len(streams) != 1 || !streams[0].Subscribed { // until then its lane writes barriers
			return fmt.Errorf("%+v", streams)
		}
		return nil
	})
	set := []string{"set", "--channel", accountEvents, "--id", s.ids[0], "--yes"}
	before := s.written(t, positionsTopic)
	if _, errs := s.positions(t, 3, set...); !strings.Contains(errs, r.instance()) || !strings.Contains(errs, "at_least_once") {
		t.Error(errs)
	}
	if now := s.written(t, positionsTopic); now != before {
		t.Errorf("%d records were written", now-before)
	}
	r.drain()
	s.positions(t, 0, set...)
	s.runs(t, 3)
	s.came(t, 1, 2)
}

// Streams without a position, and positions without a stream, are listed as such.
func TestPositionsList(t *testing.T) {
	s := newStreamSite(t, 2)
	s.edit(t, "streams:\n", "streams:\n  - channel: /event/Order__e\n    start: latest\n")
	out, errs := s.positions(t, 0, "list")
	for _, says := range []string{accountEvents + "  +" + s.ids[1], `/event/Order__e +none \(begins: latest\)`, `CLIFF IN +LANE`} {
		if !regexp.MustCompile(says).MatchString(out) {
			t.Errorf("no %s in\n%s%s", says, out, errs)
		}
	}
	s.edit(t, "  - channel: "+accountEvents+"\n    start: earliest\n    snapshot: never\n", "")
	out, _ = s.positions(t, 0, "list", "--json")
	var rows []positionRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 2 {
		t.Fatalf("%v in %s", err, out)
	}
	if r := rows[0]; r.State != positionNone || r.Begins != "latest" || r.Gaps == nil || *r.Gaps != 0 {
		t.Errorf("%+v", r)
	}
	if r := rows[1]; r.State != positionUnconfigured || r.Position != s.ids[1] || r.Age == nil || r.Cliff != nil {
		t.Errorf("%+v", r)
	}
	if out, _ := s.positions(t, 0, "get", "--channel", accountEvents); !strings.Contains(out, "does not have the channel") {
		t.Error(out)
	}
}

// exported writes what export prints, changed, and returns the path.
func (s *schemaSite) exported(t *testing.T, old, changed string) string {
	t.Helper()
	out, _ := s.positions(t, 0, "export")
	if old != "" && !strings.Contains(out, old) {
		t.Fatalf("no %q in %s", old, out)
	}
	path := filepath.Join(t.TempDir(), "positions.json")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(out, old, changed)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What a change may leave out is an entry of the gap ledger; what lies before the old
// place leaves nothing out, and putting the position back ends the entry.
func TestHolesOfChanges(t *testing.T) {
	k := replay.Key{Org: "00D000000000001AAA", Channel: "/data/AccountChangeEvent"}
	at := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	entry := func(position string, at time.Time) *replay.Entry {
		return &replay.Entry{Key: k, Position: replay.Position(position), EventTime: at}
	}
	for name, tt := range map[string]struct {
		change change
		want   string
	}{
		"forward":           {change{from: entry("5", at), to: entry("9", at.Add(time.Hour)), skips: true}, "open 5 9"},
		"nobody knows":      {change{from: entry("5", at), to: entry("9", time.Time{}), skips: true}, "open 5 9"},
		"back":              {change{from: entry("5", at), to: entry("2", at.Add(-time.Hour)), skips: true}, ""},
		"the same":          {change{from: entry("5", at), to: entry("5", at), skips: true}, ""},
		"a first position":  {change{to: entry("5", at), skips: true}, ""},
		"a rewind":          {change{from: entry("5", at), to: entry("9", time.Time{})}, ""},
		"undone":            {change{from: entry("9", at), to: entry("5", at), closes: &transform.Hole{FromPosition: "5", ToPosition: "9", Reason: transform.Skipped}}, "repaired 5 9"},
		"a stream is begun": {change{from: entry("5", at), skips: true}, ""},
	} {
		tt.change.key = k
		got := ""
		if h := tt.change.hole("me"); h != nil {
			got = fmt.Sprintf("%s %s %s", h.State, h.FromPosition, h.ToPosition)
			if h.Reason != transform.Skipped || h.Detail == "" {
				t.Errorf("%s: %+v", name, h)
			}
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
