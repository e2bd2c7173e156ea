package salesforce

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// readCSV reads all rows and the error after them.
func readCSV(src io.Reader, framed bool) ([][]string, error) {
	r := newCSVReader(src, framed)
	var rows [][]string
	for {
		fields, err := r.next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		var row []string
		for _, field := range fields {
			row = append(row, string(field))
		}
		rows = append(rows, row)
	}
}

func TestCSV(t *testing.T) {
	for name, tc := range map[string]struct {
		text   string
		framed bool
		want   [][]string
		fails  bool
	}{
		"empty":                  {"", false, nil, false},
		"values":                 {"a,\"b\",\n,,c\n", false, [][]string{{"a", "b", ""}, {"", "", "c"}}, false},
		"quotes":                 {"\"a \"\"b\"\"\",\"\"\"\",\"\"\n", false, [][]string{{`a "b"`, `"`, ""}}, false},
		"line ends within":       {"h\n\"a\r\nb\",\"\r\",\"\n\"\n", false, [][]string{{"h"}, {"a\r\nb", "\r", "\n"}}, false},
		"an empty line":          {"h\n\n\"\"\n", false, [][]string{{"h"}, {""}, {""}}, false},
		"CR LF":                  {"h,i\r\na,\"b\"\r\n\"c\",d\r\n", false, [][]string{{"h", "i"}, {"a", "b"}, {"c", "d"}}, false},
		"CR LF, quoted header":   {"\"h\"\r\na\r\n", false, [][]string{{"h"}, {"a"}}, false},
		"CR of the value":        {"h\na\r\n", false, [][]string{{"h"}, {"a\r"}}, false},
		"no end":                 {"h\na", false, [][]string{{"h"}}, true},
		"no end, quoted":         {"h\n\"a\"", false, [][]string{{"h"}}, true},
		"no end, framed":         {"h\na", true, [][]string{{"h"}, {"a"}}, false},
		"no end, quoted, framed": {"h\n\"a\"\"\"", true, [][]string{{"h"}, {`a"`}}, false},
		"open quote, framed":     {"h\n\"a\"\"", true, [][]string{{"h"}}, true},
		"behind a quote":         {"h\n\"a\"b\n", false, [][]string{{"h"}}, true},
		"CR behind a quote":      {"h\n\"a\"\r\n", false, [][]string{{"h"}}, true},
		"quote within":           {"h\na\"b\n", false, [][]string{{"h"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, src := range []io.Reader{strings.NewReader(tc.text), iotest.OneByteReader(strings.NewReader(tc.text)), iotest.DataErrReader(strings.NewReader(tc.text))} {
				got, err := readCSV(src, tc.framed)
				if !slices.EqualFunc(got, tc.want, slices.Equal) || (err != nil) != tc.fails {
					t.Errorf("%q, %v, want %q", got, err, tc.want)
				}
			}
		})
	}
}

// TestCSVRandom: what package encoding/csv writes comes back, also in pieces and in
// rows that exceed the buffer.
func TestCSVRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"a", `"`, ",", "\n", "\r", "\u00fc", " ", strings.Repeat("long,", 9000)}
	for range 200 {
		var (
			text strings.Builder
			want [][]string
		)
		w := csv.NewWriter(&text)
		for range 1 + random.IntN(30) {
			row := make([]string, 2+random.IntN(3))
			for i := range row {
				for range random.IntN(6) {
					row[i] += pieces[min(random.IntN(40), random.IntN(len(pieces)))]
				}
			}
			want = append(want, row)
			if err := w.Write(row); err != nil {
				t.Fatal(err)
			}
		}
		w.Flush()
		got, err := readCSV(iotest.HalfReader(strings.NewReader(text.String())), false)
		if err != nil || !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
}

func TestCSVBound(t *testing.T) {
	r := newCSVReader(io.MultiReader(strings.NewReader(`"`), endless{}), false)
	if _, err := r.next(); !errors.Is(err, errTooLarge) || cap(r.buf) > maxCSVRow {
		t.Errorf("%v with a buffer of %d", err, cap(r.buf))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// benchmarkCSV is n rows of ten values.
func benchmarkCSV(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"001xx000003D%03dAAG","Acme, Inc. %d","a ""quoted"" text","2026-03-04T09:15:22.000Z","true","12.50","","Hot;Cold","some longer text of a note field","x"`+"\n", i%1000, i)
	}
	return b.String()
}

func BenchmarkCSV(b *testing.B) {
	text := benchmarkCSV(1000)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			r := newCSVReader(strings.NewReader(text), true)
			for {
				if _, err := r.next(); err != nil {
					break
				}
			}
		}
	})
	b.Run("encoding", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			r := csv.NewReader(strings.NewReader(text))
			r.ReuseRecord = true
			for {
				if _, err := r.Read(); err != nil {
					break
				}
			}
		}
	})
}
