package fold_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
	"github.com/sfbridge/bridge/transform"
)

const (
	one = "001000000000001AAA"
	two = "001000000000002AAA"
)

// said makes a record in the envelope event and format json. body is the fields, as
// JSON members; lists are further members of the header.
func said(change, id string, second int, lists, body string) *kgo.Record {
	at := time.Unix(1_800_000_000+int64(second), 0)
	if lists != "" {
		lists = "," + lists
	}
	if body != "" {
		body = "," + body
	}
	return &kgo.Record{
		Topic: "t", Key: []byte(id), Timestamp: at,
		Value: fmt.Appendf(nil, `{"ChangeEventHeader":{"changeType":%q,"commitTimestamp":%d%s}%s}`, change, at.UnixMilli(), lists, body),
		Headers: []kgo.RecordHeader{
			{Key: "sf-object", Value: []byte("Account")}, {Key: "sf-org", Value: []byte("00D")}, {Key: "sf-change-type", Value: []byte(change)},
		},
	}
}

// late marks an event that a row may contain.
func late(r *kgo.Record) *kgo.Record {
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: "sf-in-snapshot", Value: []byte("Account")})
	return r
}

func tombstone(r *kgo.Record) *kgo.Record {
	r.Value = nil
	return r
}

// cases are what a consumer must make of records: the fields of one, or "gone".
func cases() map[string]struct {
	records []*kgo.Record
	want    string
} {
	full := func() *kgo.Record { return said("CREATE", one, 0, "", `"A":1,"B":"x","C":{"D":2,"E":3}`) }
	return map[string]struct {
		records []*kgo.Record
		want    string
	}{
		"create":              {[]*kgo.Record{full()}, `A=1 B="x" C.D=2 C.E=3`},
		"create again":        {[]*kgo.Record{full(), said("CREATE", one, 1, "", `"A":7`)}, `A=7`},
		"undelete":            {[]*kgo.Record{full(), said("DELETE", one, 1, "", ""), said("UNDELETE", one, 2, "", `"B":"y"`)}, `B="y"`},
		"update":              {[]*kgo.Record{full(), said("UPDATE", one, 1, `"changedFields":["B"]`, `"B":"y"`)}, `A=1 B="y" C.D=2 C.E=3`},
		"update of a part":    {[]*kgo.Record{full(), said("UPDATE", one, 1, `"changedFields":["C.D"]`, `"C":{"D":5,"E":null}`)}, `A=1 B="x" C.D=5 C.E=3`},
		"cleared":             {[]*kgo.Record{full(), said("UPDATE", one, 1, `"nulledFields":["B"],"changedFields":["B"]`, `"B":null`)}, `A=1 C.D=2 C.E=3`},
		"cleared as a whole":  {[]*kgo.Record{full(), said("UPDATE", one, 1, `"nulledFields":["C"],"changedFields":["C"]`, `"C":null`)}, `A=1 B="x"`},
		"cleared, a part":     {[]*kgo.Record{full(), said("UPDATE", one, 1, `"nulledFields":["C.E"],"changedFields":["C.E"]`, ``)}, `A=1 B="x" C.D=2`},
		"diff":                {[]*kgo.Record{full(), said("UPDATE", one, 1, `"changedFields":["B"],"diffFields":["B"]`, `"B":"--- +++"`)}, `A=1 B=? C.D=2 C.E=3`},
		"diff, then a value":  {[]*kgo.Record{full(), said("UPDATE", one, 1, `"diffFields":["B"]`, `"B":"--- +++"`), said("UPDATE", one, 2, "", `"B":"z"`)}, `A=1 B="z" C.D=2 C.E=3`},
		"changed, no value":   {[]*kgo.Record{full(), said("UPDATE", one, 1, `"changedFields":["A"]`, ``)}, `A=? B="x" C.D=2 C.E=3`},
		"update alone":        {[]*kgo.Record{said("UPDATE", one, 1, "", `"B":"y"`)}, `B="y"`},
		"delete":              {[]*kgo.Record{full(), said("DELETE", one, 1, "", "")}, "gone"},
		"tombstone":           {[]*kgo.Record{full(), tombstone(said("DELETE", one, 1, "", ""))}, "gone"},
		"tombstone by hand":   {[]*kgo.Record{full(), {Topic: "t", Key: []byte(one)}}, "gone"},
		"gap of a delete":     {[]*kgo.Record{full(), said("GAP_DELETE", one, 1, "", "")}, "gone"},
		"gap of a create":     {[]*kgo.Record{said("GAP_CREATE", one, 1, "", "")}, ""},
		"gap of an update":    {[]*kgo.Record{full(), said("GAP_UPDATE", one, 1, "", "")}, `A=1 B="x" C.D=2 C.E=3`},
		"wildcard":            {[]*kgo.Record{full(), said("DELETE", "001*", 1, "", "")}, `A=1 B="x" C.D=2 C.E=3`},
		"overflow":            {[]*kgo.Record{full(), said("GAP_OVERFLOW", "001000000000000AAA", 1, "", "")}, `A=1 B="x" C.D=2 C.E=3`},
		"of another":          {[]*kgo.Record{full(), said("DELETE", two, 1, "", "")}, `A=1 B="x" C.D=2 C.E=3`},
		"row":                 {[]*kgo.Record{full(), said("SNAPSHOT", one, 1, "", `"A":4,"B":null`)}, `A=4`},
		"row of some fields":  {[]*kgo.Record{full(), said("SNAPSHOT", one, 1, `"changedFields":["A","C"]`, `"A":4,"B":null,"C":null`)}, `A=4 B="x"`},
		"older than the row":  {[]*kgo.Record{said("SNAPSHOT", one, 9, "", `"A":4`), late(said("UPDATE", one, 8, "", `"A":3`))}, `A=4`},
		"delete before it":    {[]*kgo.Record{said("SNAPSHOT", one, 9, "", `"A":4`), late(said("DELETE", one, 8, "", ""))}, `A=4`},
		"tombstone before it": {[]*kgo.Record{said("SNAPSHOT", one, 9, "", `"A":4`), tombstone(late(said("DELETE", one, 8, "", "")))}, `A=4`},
		"as old as the row":   {[]*kgo.Record{said("SNAPSHOT", one, 9, "", `"A":4`), late(said("UPDATE", one, 9, "", `"A":5`))}, `A=5`},
		"newer than the row":  {[]*kgo.Record{said("SNAPSHOT", one, 9, "", `"A":4`), said("UPDATE", one, 20, "", `"A":5`), late(said("UPDATE", one, 15, "", `"A":6`))}, `A=6`},
		"update of some":      {[]*kgo.Record{full(), said("UPDATE", "001000000000000AAA", 1, "", `"A":2`)}, `A=1 B="x" C.D=2 C.E=3`},
		"old without header":  {[]*kgo.Record{said("SNAPSHOT", one, 9, "", `"A":4`), said("UPDATE", one, 8, "", `"A":3`)}, `A=3`},
		"header, other row":   {[]*kgo.Record{said("SNAPSHOT", two, 9, "", `"A":4`), full(), late(said("UPDATE", one, 8, "", `"A":3`))}, `A=3 B="x" C.D=2 C.E=3`},
		"other envelope":      {[]*kgo.Record{full(), flat(said("UPDATE", one, 1, "", ""), `"_changeType":"UPDATE","_commitTimestamp":1800000001000,"A":2`)}, `A=2 (the rest ?)`},
	}
}

func flat(r *kgo.Record, members string) *kgo.Record {
	r.Value = []byte("{" + members + "}")
	return r
}

// everything keeps the fields of all records, with their values.
func everything() fold.Config {
	return fold.Config{Object: "Account", Org: "00D", Keep: func(string) bool { return true }, Values: true, Format: transform.JSON}
}

func made(t *testing.T, cfg fold.Config, records ...*kgo.Record) *fold.Fold {
	t.Helper()
	f, err := fold.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := f.Apply(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// shown is what a fold says of a record.
func shown(f *fold.Fold, id string) string {
	row, ok := f.Row(id)
	if !ok {
		return "gone"
	}
	return row.Text(f)
}

func TestFold(t *testing.T) {
	for name, c := range cases() {
		t.Run(name, func(t *testing.T) {
			f := made(t, everything(), c.records...)
			if got := shown(f, one); got != c.want {
				t.Errorf("folds to %s, want %s", got, c.want)
			}
			// Ids alone say the same of what there is.
			ids := made(t, fold.Config{Object: "Account", Org: "00D"}, c.records...)
			if ids.Has(one) != (c.want != "gone") || f.Has(one) != ids.Has(one) || f.Len() != ids.Len() {
				t.Errorf("ids alone: %v, with fields %v; %d and %d records", ids.Has(one), f.Has(one), ids.Len(), f.Len())
			}
		})
	}
}

func TestOthersAreLeftOut(t *testing.T) {
	other := said("CREATE", one, 0, "", "")
	other.Headers[0].Value = []byte("Contact")
	foreign := said("CREATE", two, 0, "", "")
	foreign.Headers[1].Value = []byte("00Dother")
	f := made(t, everything(), other, foreign)
	if f.Len() != 0 || f.Counts().Records != 0 {
		t.Errorf("%d records of another object or org", f.Len())
	}
}

func TestCounts(t *testing.T) {
	f := made(t, everything(),
		said("SNAPSHOT", one, 9, "", ""), late(said("UPDATE", one, 8, "", "")),
		said("UPDATE", "001*", 10, "", ""), said("UPDATE", "001000000000000AAA", 10, "", ""), said("GAP_OVERFLOW", two, 10, "", ""))
	if got, want := f.Counts(), (fold.Counts{Records: 5, Contained: 1, Open: 3}); got != want || f.Len() != 1 {
		t.Errorf("counts %+v of %d records, want %+v of one", got, f.Len(), want)
	}
}

// Values are compared and not how they are written.
func TestSpelling(t *testing.T) {
	f := made(t, everything(), said("CREATE", one, 0, "", `"A":10000000.0,"B":"\u00e9","C":9007199254740993,"D":[1.0,"\/"]`))
	want, err := f.RowOf(t.Context(), said("SNAPSHOT", one, 0, "", `"A":1.0E7,"B":"é","C":9007199254740993,"D":[1,"/"]`))
	if err != nil {
		t.Fatal(err)
	}
	have, _ := f.Row(one)
	if differ, unclear := f.Compare(want, have); len(differ) > 0 || unclear > 0 {
		t.Errorf("differ in %+v, %d unclear", differ, unclear)
	}
	want, err = f.RowOf(t.Context(), said("SNAPSHOT", one, 0, "", `"A":1.0E7,"B":"e","C":9007199254740992,"D":[1,"/"]`))
	if err != nil {
		t.Fatal(err)
	}
	differ, _ := f.Compare(want, have)
	slices.SortFunc(differ, func(a, b fold.Difference) int { return strings.Compare(a.Field, b.Field) })
	if len(differ) != 2 || differ[0].Field != "B" || differ[1].Field != "C" || differ[0].WantSum == differ[0].HaveSum || string(differ[0].HaveValue) != `"é"` {
		t.Errorf("differ in %+v, want B and C", differ)
	}
}

// A row that does not speak for a field does not differ in it.
func TestSilentFields(t *testing.T) {
	f := made(t, everything(), said("CREATE", one, 0, "", `"A":1,"B":2`), said("UPDATE", one, 1, `"diffFields":["C"]`, `"C":"d"`))
	want, err := f.RowOf(t.Context(), said("SNAPSHOT", one, 0, `"changedFields":["A","C"]`, `"A":1,"C":"text"`))
	if err != nil {
		t.Fatal(err)
	}
	have, _ := f.Row(one)
	if differ, unclear := f.Compare(want, have); len(differ) > 0 || unclear != 1 {
		t.Errorf("differ in %+v, %d unclear; want none, and the diff", differ, unclear)
	}
}

// Ids of 15 characters are those of 18, and keys may be in Confluent's wire format.
func TestKeys(t *testing.T) {
	short := said("CREATE", one[:15], 0, "", "")
	framed := said("CREATE", "", 0, "", "")
	framed.Key = append(binary.AppendVarint([]byte{0, 0, 0, 0, 1}, 18), "001xx0000012AbZAAU"...)
	f := made(t, everything(), short, framed)
	ids := slices.Sorted(f.IDs())
	if !slices.Equal(ids, []string{one, "001xx0000012AbZAAU"}) {
		t.Errorf("ids %q", ids)
	}
}

func TestRecordErrors(t *testing.T) {
	bad := func(change func(*kgo.Record)) *kgo.Record {
		r := said("CREATE", one, 0, "", "")
		change(r)
		return r
	}
	for want, r := range map[string]*kgo.Record{
		"no record id":        bad(func(r *kgo.Record) { r.Key = []byte("key") }),
		"not known":           bad(func(r *kgo.Record) { r.Headers[2].Value = []byte("MERGE") }),
		"names no schema":     bad(func(r *kgo.Record) { r.Value = []byte{2, 3} }),
		"registry":            bad(func(r *kgo.Record) { r.Value = []byte{0, 0, 0, 0, 1, 2} }),
		"none of the envelop": bad(func(r *kgo.Record) { r.Value = []byte(`{"A":1}`) }),
		"is empty":            bad(func(r *kgo.Record) { r.Value = []byte{} }),
		"commitTimestamp":     bad(func(r *kgo.Record) { r.Value = []byte(`{"ChangeEventHeader":{}}`) }),
		"invalid character":   bad(func(r *kgo.Record) { r.Value = []byte(`{"ChangeEventHeader"`) }),
	} {
		f := made(t, everything())
		err := f.Apply(t.Context(), r)
		if _, ok := errors.AsType[*fold.RecordError](err); !ok || !strings.Contains(err.Error(), want) && want != "invalid character" {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	plain, err := kgo.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	right, err := kgo.NewClient(fold.ClientOptions()...)
	if err != nil {
		t.Fatal(err)
	}
	defer right.Close()
	all := func(string) bool { return true }
	for want, cfg := range map[string]fold.Config{
		"is raw":             {Keep: all, Format: transform.Raw},
		"committed records":  {Client: plain, Topics: []string{"t"}},
		"the topics are non": {Client: right},
	} {
		_, err := fold.New(cfg)
		if _, ok := errors.AsType[*fold.ConfigError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := fold.New(fold.Config{Format: transform.Raw}); err != nil {
		t.Errorf("ids of raw values: %v", err)
	}
}

// What changed is told.
func TestChanged(t *testing.T) {
	told := map[string]int{}
	cfg := everything()
	cfg.Changed = func(id string) { told[id]++ }
	made(t, cfg, said("CREATE", one, 0, "", ""), said("DELETE", two, 0, "", ""), said("UPDATE", one, 1, "", ""))
	if !maps.Equal(told, map[string]int{one: 2, two: 1}) {
		t.Errorf("told %v", told)
	}
}

func TestIDSet(t *testing.T) {
	var s fold.IDSet
	if s.Add("no id") || !s.Add(one[:15]) || !s.Add(one) || s.Len() != 1 || !s.Has(one) || s.Has(two) || s.Has("") {
		t.Errorf("a set of %d", s.Len())
	}
	s.Remove(one)
	s.Remove("no id")
	if s.Len() != 0 {
		t.Errorf("a set of %d", s.Len())
	}
}

// A set of ids is what a map is, whatever comes in which order.
func TestIDSetIsASet(t *testing.T) {
	for seed := range uint64(6) {
		rnd := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // reproducible on purpose
		var s fold.IDSet
		want := make(map[string]bool)
		for i := range 20_000 {
			id := numbered(rnd.IntN(4000) + i/2*int(seed%2))
			if rnd.IntN(3) == 0 || seed > 3 && i > 15_000 {
				s.Remove(id)
				delete(want, id)
			} else {
				s.Add(id)
				want[id] = true
			}
			if s.Has(id) != want[id] || s.Len() != len(want) {
				t.Fatalf("seed %d, step %d: %v and %d ids, want %v and %d", seed, i, s.Has(id), s.Len(), want[id], len(want))
			}
		}
		got := slices.Collect(s.All())
		if !slices.IsSorted(got) || len(got) != len(want) || slices.ContainsFunc(got, func(id string) bool { return !want[id[:15]+"AAA"] }) {
			t.Fatalf("seed %d: %d ids, sorted %v; want %d", seed, len(got), slices.IsSorted(got), len(want))
		}
	}
}
