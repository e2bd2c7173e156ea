package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/transform"
)

const gapsTopic = "demo.gaps"

// gapSite is a site with a ledger, and what is in it.
type gapSite struct {
	*schemaSite
	holes []*transform.Hole
}

// newGapSite enters holes into the ledger of a site whose values are as config says.
func newGapSite(t *testing.T, registry string) *gapSite {
	t.Helper()
	s := &gapSite{schemaSite: newSchemaSite(t, registry, accountEvents)}
	s.makes(t, map[string]*string{"cleanup.policy": new("compact")})
	at := func(hour int) time.Time { return time.Date(2026, 8, 1, hour, 0, 0, 0, time.UTC) }
	s.holes = []*transform.Hole{
		{Channel: accountEvents, Reason: transform.ReplayRefused, FromPosition: "10", ToPosition: "20", FromTime: at(1), ToTime: at(2)},
		{Channel: "/data/ChangeEvents", Object: "Contact", Reason: "overflow", ChangeType: "GAP_OVERFLOW", FromPosition: "30", ToPosition: "30", FromTime: at(3), ToTime: at(3), RecordIDs: []string{"000000000000000AAA"}},
		{Channel: "/data/ChangeEvents", Reason: transform.Starved, FromPosition: "40", FromTime: at(4)},
		{Channel: accountEvents, Reason: "gap_event", Object: "Account", FromPosition: "50", ToPosition: "50", State: transform.HoleRepaired},
		{Channel: "/event/Order__e", Reason: transform.RetentionPassed, FromPosition: "60", ToPosition: "70", State: transform.HoleRepairing},
	}
	for _, h := range s.holes {
		h.Org, h.Detected, h.Detail = s.org.ID(), at(5), "something happened"
		if h.State == "" {
			h.State = transform.HoleOpen
		}
		s.enter(t, h)
	}
	return s
}

// makes creates the ledger's topic.
func (s *gapSite) makes(t *testing.T, settings map[string]*string) {
	t.Helper()
	cl, err := kgo.NewClient(s.kafka...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, settings, gapsTopic); err != nil {
		t.Fatal(err)
	}
}

// desk is how a command sees the site.
func (s *gapSite) desk(t *testing.T) *gapDesk {
	t.Helper()
	var told strings.Builder
	d, err := openGapDesk(t.Context(), s.path, &told)
	if err != nil {
		t.Fatal(err, told.String())
	}
	return d
}

// enter writes a state as the bridge does.
func (s *gapSite) enter(t *testing.T, h *transform.Hole) {
	t.Helper()
	d := s.desk(t)
	ledger, err := transform.NewLedger(gapsTopic, d.encoding())
	if err != nil {
		t.Fatal(err)
	}
	r, err := ledger.Record(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, r)
}

func (s *gapSite) write(t *testing.T, r *kgo.Record) {
	t.Helper()
	cl, err := kgo.NewClient(s.kafka...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func (s *gapSite) gaps(t *testing.T, want int, args ...string) string {
	t.Helper()
	code, out, stderr := call(t, append(append([]string{"gaps"}, args...), "-c", s.path)...)
	if code != want {
		t.Errorf("gaps %v: exit code %d, want %d: %s%s", args, code, want, out, stderr)
	}
	return out + stderr
}

// asJSON is what a command says with --json.
func (s *gapSite) asJSON(t *testing.T, into any, args ...string) {
	t.Helper()
	code, out, stderr := call(t, slices.Concat([]string{"gaps"}, args, []string{"--json", "-c", s.path})...)
	if err := json.Unmarshal([]byte(out), into); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, stderr)
	}
}

func (s *gapSite) rows(t *testing.T, args ...string) (rows []gapRow) {
	t.Helper()
	s.asJSON(t, &rows, append([]string{"list"}, args...)...)
	return rows
}

// In each format the same is listed, by what is asked for.
func TestGapsList(t *testing.T) {
	for name, registry := range map[string]string{
		"registry": "", "json": "format: json", "no registry": "", "docs": "  docs: describe",
	} {
		t.Run(name, func(t *testing.T) {
			s := newGapSite(t, registry)
			if name == "no registry" {
				s = &gapSite{schemaSite: newSchemaSite(t, "", accountEvents), holes: s.holes}
				s.makes(t, nil)
				s.unregistered(t)
				for _, h := range s.holes {
					s.enter(t, h)
				}
			}
			s.lists(t)
		})
	}
}

// unregistered takes the registry out of the configuration.
func (s *gapSite) unregistered(t *testing.T) {
	t.Helper()
	s.edit(t, "registry:\n  url: http://", "registry:\n  url: none\n#")
}

func (s *gapSite) lists(t *testing.T) {
	t.Helper()
	for _, c := range []struct {
		args string
		want []int // of s.holes
	}{
		{"", []int{0, 1, 2, 4}},
		{"--state all", []int{0, 1, 2, 3, 4}},
		{"--state repairing", []int{4}},
		{"--state repaired", []int{3}},
		{"--state waived", nil},
		{"--channel " + accountEvents, []int{0}},
		{"--object Account", []int{0, 2}},
		{"--object Contact", []int{1, 2}},
		{"--object Order__e", []int{2, 4}},
		{"--reason overflow", []int{1}},
		{"--since 2026-08-01T02:30:00Z", []int{1, 2, 4}},
		{"--since 2026-08-02", []int{2, 4}},
		{"--since 1h", []int{2, 4}},
	} {
		rows := s.rows(t, strings.Fields(c.args)...)
		ids, want := []string{}, []string{}
		for _, r := range rows {
			ids = append(ids, r.ID)
		}
		for _, i := range c.want {
			want = append(want, s.holes[i].ID())
		}
		if fmt.Sprint(ids) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", c.args, ids, want)
		}
	}
	one := s.rows(t, "--reason", "overflow")[0]
	if one.Object != "Contact" || one.ChangeType != "GAP_OVERFLOW" || one.FromPosition != "30" || one.ToPosition != "30" || one.State != "open" ||
		one.Channel != "/data/ChangeEvents" || !one.FromTime.Equal(s.holes[1].FromTime) || one.Org != s.holes[1].Org || one.RecordIDs[0] != "000000000000000AAA" {
		t.Errorf("%+v", one)
	}
	table := s.gaps(t, 0, "list")
	for _, want := range []string{"ID ", s.holes[0].ID()[:shownID], "(all)", "2026-08-01T01:00:00Z", "?", "position 70", "starvation", "repairing"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	if got := s.gaps(t, 0, "list", "--state", "waived"); !strings.Contains(got, "no waived gaps in demo.gaps") {
		t.Error(got)
	}
}

func TestGapsListRefuses(t *testing.T) {
	s := newGapSite(t, "format: json")
	for says, args := range map[string][]string{
		"is none of open, repairing":          {"--state", "shut"},
		"is no time":                          {"--since", "yesterday"},
		"the reasons are replay_id_refused, ": {"--reason", "expired"},
	} {
		if got := s.gaps(t, 2, append([]string{"list"}, args...)...); !strings.Contains(got, says) {
			t.Errorf("%v: %s", args, got)
		}
	}
}

// What cannot be read may be a gap: it is told, and makes the exit code.
func TestGapsThatCannotBeRead(t *testing.T) {
	s := newGapSite(t, "format: json")
	id := s.holes[0].ID()
	s.write(t, &kgo.Record{Topic: gapsTopic, Key: []byte(id), Value: []byte(`{"id":"` + id)})
	got := s.gaps(t, 3, "list", "--state", "all")
	if strings.Contains(got, id[:shownID]+" ") || !strings.Contains(got, "1 gaps cannot be read") || !strings.Contains(got, `record "`+id) {
		t.Error(got)
	}
	s.enter(t, s.holes[0]) // a later state is read
	if rows := s.rows(t); len(rows) != 4 {
		t.Errorf("%+v", rows)
	}
	s.write(t, &kgo.Record{Topic: gapsTopic, Key: []byte(id)})
	if rows := s.rows(t); len(rows) != 3 {
		t.Errorf("a gap that was taken out is listed: %+v", rows)
	}
}

// A topic that is not there, or that forgets, is told of.
func TestGapsOfATopicThatIsNotAsItShouldBe(t *testing.T) {
	s := &gapSite{schemaSite: newSchemaSite(t, "", accountEvents)}
	if got := s.gaps(t, 0, "list"); !strings.Contains(got, "demo.gaps does not exist: no gap was ever entered") || !strings.Contains(got, "no open gaps") {
		t.Error(got)
	}
	s.makes(t, map[string]*string{"cleanup.policy": new("delete")})
	if got := s.gaps(t, 0, "list"); !strings.Contains(got, "demo.gaps forgets entries: its cleanup.policy is delete") {
		t.Error(got)
	}
}

func TestGapsShow(t *testing.T) {
	s := newGapSite(t, "")
	h := *s.holes[2]
	h.ToPosition, h.ToTime, h.Detail = "45", h.FromTime.Add(time.Hour), "it ended"
	s.enter(t, &h)
	got := s.gaps(t, 0, "show", h.ID()[:leastID])
	for _, want := range []string{h.ID(), "starvation", "(all of the channel)", "2026-08-01T04:00:00Z, position 40", "2026-08-01T05:00:00Z, position 45", "something happened", "it ended"} {
		if !strings.Contains(got, want) {
			t.Errorf("it lacks %q:\n%s", want, got)
		}
	}
	var shown shownGap
	s.asJSON(t, &shown, "show", h.ID())
	if len(shown.States) != 2 || shown.Detail != "it ended" || shown.States[0].Detail != "something happened" {
		t.Errorf("%+v", shown)
	}
	wrong := h.ID()[:8] + "x"
	if got := s.gaps(t, 2, "show", wrong); !strings.Contains(got, "no gap in demo.gaps has an id that begins with") || !strings.Contains(got, "near: "+h.ID()) {
		t.Error(got)
	}
	if got := s.gaps(t, 2, "show", h.ID()[:3]); !strings.Contains(got, "too little of an id") {
		t.Error(got)
	}
}

// A beginning that several ids have is refused, whole ids are not.
func TestGapIDs(t *testing.T) {
	l := &gapLedger{gaps: []*gapEntry{{id: "abcd1"}, {id: "abcd12"}, {id: "ffff"}}}
	for id, want := range map[string]string{"abcd1": "abcd1", "abcd12": "abcd12", "ffff": "ffff"} {
		if g, err := l.find(id, gapsTopic); err != nil || g.id != want {
			t.Errorf("%s: %+v, %v", id, g, err)
		}
	}
	if _, err := l.find("abcd", gapsTopic); err == nil || !strings.Contains(err.Error(), "the beginning of 2 ids: abcd1, abcd12") {
		t.Error(err)
	}
}

func TestGapsWaive(t *testing.T) {
	for _, registry := range []string{"", "format: json"} {
		s := newGapSite(t, registry)
		first, second := s.holes[0].ID(), s.holes[2].ID()
		if got := s.gaps(t, 2, "waive", first); !strings.Contains(got, "--reason is needed") {
			t.Error(got)
		}
		if got := s.gaps(t, 2, "waive", first, "feed", "--reason", "x"); !strings.Contains(got, `begins with "feed"`) {
			t.Error(got)
		}
		if rows := s.rows(t, "--state", "waived"); len(rows) != 0 {
			t.Errorf("waived beside an unknown one: %+v", rows)
		}
		got := s.gaps(t, 0, "waive", first[:6], second, "--reason", "test data", "--by", "ops")
		if !strings.Contains(got, first+": waived\n") || !strings.Contains(got, second+": waived; it may still last") {
			t.Error(got)
		}
		rows := s.rows(t, "--state", "waived")
		if len(rows) != 2 || rows[0].ID != first || rows[0].ToPosition != "20" || !rows[0].Detected.Equal(s.holes[0].Detected) ||
			!strings.Contains(rows[0].Detail, "something happened; waived by ops at 20") || !strings.HasSuffix(rows[0].Detail, ": test data") {
			t.Errorf("%+v", rows)
		}
		var done []waived
		s.asJSON(t, &done, "waive", first, s.holes[3].ID(), "--reason", "again")
		if len(done) != 2 || done[0].Changed || done[0].State != "waived" || done[1].Changed || done[1].State != "repaired" {
			t.Errorf("%+v", done)
		}
	}
}

// What the bridge finds out while a gap is waived is kept.
func TestGapsWaiveBesideTheBridge(t *testing.T) {
	s := newGapSite(t, "")
	d := s.desk(t)
	waive := func(i int, meanwhile *transform.Hole) waived {
		t.Helper()
		l, err := d.ledger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		g, err := l.find(s.holes[i].ID(), gapsTopic)
		if err != nil {
			t.Fatal(err)
		}
		s.enter(t, meanwhile)
		w, err := d.ledgerWriter()
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		done, err := d.waiveOne(t.Context(), w, g, waiver{"ops", "why not"})
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	state := func(i int) gapRow {
		t.Helper()
		for _, r := range s.rows(t, "--state", "all") {
			if r.ID == s.holes[i].ID() {
				return r
			}
		}
		return gapRow{}
	}

	repaired := *s.holes[0]
	repaired.State, repaired.Detail = transform.HoleRepaired, "it came"
	if done := waive(0, &repaired); done.Changed || done.State != "repaired" || state(0).State != "repaired" || state(0).Detail != "it came" {
		t.Errorf("%+v, %+v", done, state(0))
	}
	ended := *s.holes[2]
	ended.ToPosition = "48"
	if done := waive(2, &ended); !done.Changed || state(2).State != "waived" || state(2).ToPosition != "48" || strings.Count(state(2).Detail, "waived by") != 1 {
		t.Errorf("%+v, %+v", done, state(2))
	}
}

// An entry that this version would write otherwise is left alone.
func TestGapsOfAnotherVersion(t *testing.T) {
	s := newGapSite(t, "format: json")
	s.write(t, &kgo.Record{Topic: gapsTopic, Key: []byte("abcdef"), Value: []byte(`{"id":"abcdef","channel":"/u/x","state":"open","reason":"new","more":1}`)})
	if got := s.gaps(t, 2, "waive", "abcdef", "--reason", "x"); !strings.Contains(got, "another version of the bridge") {
		t.Error(got)
	}
	if rows := s.rows(t, "--reason", "new"); len(rows) != 1 {
		t.Errorf("%+v", rows)
	}
}

// While the registry is down the ledger is not empty, but not known.
func TestGapsWhileTheRegistryIsDown(t *testing.T) {
	s := newGapSite(t, "")
	s.breaks(answers(503, ``))
	got := s.gaps(t, 3, "list")
	if !strings.Contains(got, "gaps cannot be read, and may be open") {
		t.Error(got)
	}
}
