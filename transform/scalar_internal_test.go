package transform

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestWholeNumber(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
		why  string
	}{
		{"0", 0, ""}, {"-0", 0, ""}, {"7", 7, ""}, {"-7", -7, ""},
		{"9223372036854775807", math.MaxInt64, ""}, {"-9223372036854775808", math.MinInt64, ""},
		{"9223372036854775808", 0, "does not fit"}, {"-9223372036854775809", 0, "does not fit"},
		{"9007199254740993", 9007199254740993, ""}, // no float64 is that
		{"9007199254740993.0", 9007199254740993, ""},
		{"18446744073709551616", 0, "does not fit"}, {"99999999999999999999999", 0, "does not fit"},
		{"20.0", 20, ""}, {"20.000000000000000000000000", 20, ""}, {"2e1", 20, ""}, {"2.0E+1", 20, ""}, {"1.0E7", 10_000_000, ""},
		{"2000e-2", 20, ""}, {"0.0", 0, ""}, {"0e999999999999", 0, ""}, {"0.000e-5", 0, ""},
		{"20.5", 0, "is not whole"}, {"1e-1", 0, "is not whole"}, {"0.1", 0, "is not whole"}, {"1.00000000000000000000001", 0, "does not fit"},
		{"1e18", 1_000_000_000_000_000_000, ""}, {"1e19", 0, "does not fit"}, {"9.223372036854775807e18", math.MaxInt64, ""},
		{"9.2233720368547758075e18", 0, "is not whole"}, {"1e99999999999999999999", 0, "does not fit"}, {"1e-99999999999999999999", 0, "is not whole"},
		{"123456789012345678", 123456789012345678, ""}, {"1234567890123456789", 1234567890123456789, ""},
		{"100000000000000000000e-2", 1_000_000_000_000_000_000, ""},
	} {
		got, why := wholeNumber([]byte(c.in))
		if got != c.want || why != c.why {
			t.Errorf("%s: %d %q, want %d %q", c.in, got, why, c.want, c.why)
		}
	}
}

// TestWholeNumberAgainstBig compares with exact arithmetic.
func TestWholeNumberAgainstBig(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		v := int64(r.Uint64() >> r.IntN(64))
		if r.IntN(2) == 0 {
			v = -v
		}
		text := strconv.FormatInt(v, 10)
		if r.IntN(2) == 0 {
			text += "." + []string{"0", "5", "000", "25"}[r.IntN(4)]
		}
		if r.IntN(2) == 0 {
			text += "e" + strconv.Itoa(r.IntN(30)-15)
		}
		want, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatal(text)
		}
		got, why := wholeNumber([]byte(text))
		if fits := want.IsInt() && want.Num().IsInt64(); fits != (why == "") || fits && want.Num().Int64() != got {
			t.Fatalf("%s: %d %q, exactly it is %s", text, got, why, want)
		}
	}
}

func TestDouble(t *testing.T) {
	for _, c := range []struct {
		in   string
		want float64
		ok   bool
	}{
		{"0", 0, true}, {"20", 20, true}, {"1.0E7", 1e7, true}, {"0.1", 0.1, true}, {"-0", math.Copysign(0, -1), true},
		{"999999999999999", 999999999999999, true}, {"9007199254740993", 9007199254740992, true},
		{"5e-324", 5e-324, true}, {"1e-400", 0, true}, {"1.7976931348623157e308", math.MaxFloat64, true}, {"1e309", math.Inf(1), false}, {"-1e309", math.Inf(-1), false},
	} {
		got, ok := double([]byte(c.in))
		if math.Float64bits(got) != math.Float64bits(c.want) || ok != c.ok {
			t.Errorf("%s: %v %t, want %v %t", c.in, got, ok, c.want, c.ok)
		}
	}
}

func TestEpochMillis(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"2026-03-04T09:15:22.481Z", 1772615722481, true}, {"2026-03-04T09:15:22Z", 1772615722000, true},
		{"2026-03-04T09:15:22.000+0000", 1772615722000, true}, {"2026-03-04T10:15:22.4+01:00", 1772615722400, true},
		{"2026-03-04T00:15:22.481-0900", 1772615722481, true}, {"2026-03-04T09:15:22.481000Z", 1772615722481, true},
		{"2026-03-04", 1772582400000, true}, {"1970-01-01", 0, true}, {"1969-12-31T23:59:59.999Z", -1, true},
		{"2024-02-29", 1709164800000, true}, {"0000-01-01", -62167219200000, true}, {"9999-12-31T23:59:59.999Z", 253402300799999, true},
		{"2026-03-04T09:15:22.4815Z", 0, false}, {"2026-03-04T09:15:22", 0, false}, {"2026-03-04T09:15Z", 0, false},
		{"2026-03-04 09:15:22Z", 0, false}, {"2026-02-29", 0, false}, {"2100-02-29", 0, false}, {"2026-13-01", 0, false}, {"2026-00-01", 0, false},
		{"2026-04-31", 0, false}, {"2026-01-00", 0, false}, {"2026-1-01", 0, false}, {"20260304", 0, false}, {"", 0, false}, {"2026-03-04T", 0, false},
		{"2026-03-04T24:00:00Z", 0, false}, {"2026-03-04T09:60:00Z", 0, false}, {"2026-03-04T09:15:60Z", 0, false},
		{"2026-03-04T09:15:22.Z", 0, false}, {"2026-03-04T09:15:22Zx", 0, false}, {"2026-03-04T09:15:22+1:00", 0, false}, {"2026-03-04T09:15:22+24:00", 0, false},
		{"2026-03-04T09:15:22x0000", 0, false}, {"/026-03-04", 0, false}, {"2o26-03-04", 0, false}, {"-026-03-04", 0, false},
	} {
		got, ok := epochMillis([]byte(c.in))
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %d %t, want %d %t", c.in, got, ok, c.want, c.ok)
		}
	}
}

// TestEveryDay compares every day of two 400-year cycles with package time.
func TestEveryDay(t *testing.T) {
	at := time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC)
	for at.Year() < 2400 {
		text := at.AppendFormat(nil, time.DateOnly)
		if got, ok := daysSince1970(text); !ok || got*dayMillis != at.UnixMilli() {
			t.Fatalf("%s: %d %t", text, got, ok)
		}
		at = at.AddDate(0, 0, 1)
	}
}

func TestMillisOfDay(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"13:30:00.000Z", 48600000, true}, {"00:00:00Z", 0, true}, {"23:59:59.999", 86399999, true}, {"00:00:00.1Z", 100, true},
		{"24:00:00Z", 0, false}, {"13:30Z", 0, false}, {"13:30:00+01:00", 0, false}, {"13:30:00.0001Z", 0, false}, {"", 0, false}, {"1:30:00Z", 0, false},
	} {
		got, ok := millisOfDay([]byte(c.in))
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %d %t, want %d %t", c.in, got, ok, c.want, c.ok)
		}
	}
}

// TestIDSuffix uses pairs of ids that Salesforce's documentation shows.
func TestIDSuffix(t *testing.T) {
	for _, id := range []string{"001xx000003DGb2AAG", "005xx000001SvogAAC", "000000000000000AAA", "00Dxx0000001gPLEAY"} {
		if got := string(appendIDSuffix([]byte(id[:15]), []byte(id[:15]))); got != id {
			t.Errorf("%s becomes %s", id[:15], got)
		}
	}
}

func TestTopicTemplates(t *testing.T) {
	for _, c := range []struct{ template, want, err string }{
		{"salesforce.{{.Object}}", "salesforce.Account", ""},
		{"{{.Prefix}}-{{ .Channel }}_{{.ChangeType}}", "crm-AccountChangeEvent_UPDATE", ""},
		{"{{.Object}}{{.Object}}", "AccountAccount", ""},
		{"all", "all", ""},
		{"", "", "is empty"},
		{"{{.Entity}}", "", "unknown placeholder {{.Entity}}; known are {{.Prefix}}"},
		{"{{if .Object}}x{{end}}", "", "unknown placeholder {{if .Object}}"},
		{"a{{.Object", "", "has {{ without }}"},
		{"a b", "", `" " cannot be part of a topic's name`},
		{"größe", "", "cannot be part of a topic's name"},
	} {
		tt, err := compileTopic("topic template", c.template, nil)
		got := ""
		if err == nil {
			got, err = tt.topic(&topicNames{prefix: "crm", object: "Account", channel: "AccountChangeEvent", change: "UPDATE"})
		}
		checkTopic(t, c.template, got, err, c.want, c.err)
	}
	for _, c := range []struct{ prefix, object, want, err string }{
		{"a/b", "X", "", `gives the topic "a/bX", which is illegal`},
		{"", "", "", "which is empty"},
		{"", "..", "", "which is reserved"},
		{"", ".", "", "which is reserved"},
		{"p", string(make([]byte, 249)), "", "longer than 249"},
		{"é", "X", "", "illegal"},
		{"", "X", "X", ""},
	} {
		tt, err := compileTopic("topic template", "{{.Prefix}}{{.Object}}", nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tt.topic(&topicNames{prefix: c.prefix, object: c.object})
		checkTopic(t, c.prefix+c.object, got, err, c.want, c.err)
	}
}

func checkTopic(t *testing.T, what, got string, err error, want, wantErr string) {
	t.Helper()
	switch {
	case wantErr == "" && (err != nil || got != want):
		t.Errorf("%s: %q, %v, want %q", what, got, err, want)
	case wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)):
		t.Errorf("%s: %v, want %s", what, err, wantErr)
	}
}

// TestFind: names of every length, with equal beginnings and ends, are told
// apart, and names that are not there are not found.
func TestFind(t *testing.T) {
	rec := &recordPlan{}
	var names []string
	for n := range 30 {
		name := ""
		for range n {
			name += "a"
		}
		names = append(names, name+"b")
	}
	for i := range 500 {
		names = append(names, "LongPrefix_"+strconv.Itoa(i)+"_LongSuffix__c")
	}
	for _, n := range names {
		rec.fields = append(rec.fields, fieldPlan{name: n})
	}
	rec.hash(len(rec.fields))
	for i, n := range names {
		if got := rec.find([]byte(n)); got != i {
			t.Errorf("%s found at %d, is at %d", n, got, i)
		}
		for _, other := range []string{n[:len(n)-1], n + "x", "x" + n} {
			if rec.find([]byte(other)) >= 0 {
				t.Errorf("%q is found", other)
			}
		}
	}
}
