package schemas_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/schemas"
)

func registered(t *testing.T, text string) *schemas.Schema {
	t.Helper()
	s, err := schemas.ParseRegistered([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestDiff shows each kind of change alone: what is found, and what people read.
func TestDiff(t *testing.T) {
	const address = `{"name":"A","type":["null",{"type":"record","name":"Address","fields":[{"name":"City","type":["null","string"]}%s]}]}`
	addressWith := func(more string) string { return strings.Replace(address, "%s", more, 1) }
	enum := func(symbols string) string {
		return `{"name":"A","type":["null",{"type":"enum","name":"E","symbols":[` + symbols + `]}]}`
	}
	for _, c := range []struct {
		name     string
		old, now string
		want     []schemas.Change
		says     string
	}{
		{"nothing", event(`{"name":"A","type":"string"}`), event(`{"name":"A","type":{"type":"string"}}`), nil, "no differences"},
		{
			"added", event(`{"name":"A","type":"string"}`), event(`{"name":"A","type":"string"}`, `{"name":"B","type":["null","double"]}`),
			[]schemas.Change{{Kind: "added", Path: "B", New: "null|double"}}, "field B added (null|double)",
		},
		{
			"removed", event(`{"name":"A","type":"string"}`, `{"name":"B","type":"long"}`), event(`{"name":"A","type":"string"}`),
			[]schemas.Change{{Kind: "removed", Path: "B", Old: "long"}}, "field B removed (long)",
		},
		{
			"retyped", event(`{"name":"A","type":["null","string"]}`), event(`{"name":"A","type":["null","double"]}`),
			[]schemas.Change{{Kind: "retyped", Path: "A", Old: "null|string", New: "null|double"}}, "field A retyped from null|string to null|double",
		},
		{
			"no longer required", event(`{"name":"A","type":"long"}`), event(`{"name":"A","type":["null","long"]}`),
			[]schemas.Change{{Kind: "retyped", Path: "A", Old: "long", New: "null|long"}}, "from long to null|long",
		},
		{
			"logical type", event(`{"name":"A","type":"long"}`), event(`{"name":"A","type":{"type":"long","logicalType":"timestamp-millis"}}`),
			[]schemas.Change{{Kind: "retyped", Path: "A", Old: "long", New: "long(timestamp-millis)"}}, "long(timestamp-millis)",
		},
		{
			"branch more", event(`{"name":"A","type":["null","string"]}`), event(addressWith("")),
			[]schemas.Change{{Kind: "retyped", Path: "A", Old: "null|string", New: "null|com.sforce.eventbus.Address"}}, "Address",
		},
		{
			"inside", event(addressWith("")), event(addressWith(`,{"name":"Country","type":"string"}`)),
			[]schemas.Change{{Kind: "added", Path: "A.Country", New: "string"}}, "field A.Country added",
		},
		{
			"items", event(`{"name":"A","type":{"type":"array","items":"string"}}`), event(`{"name":"A","type":{"type":"array","items":"long"}}`),
			[]schemas.Change{{Kind: "retyped", Path: "A[]", Old: "string", New: "long"}}, "field A[] retyped",
		},
		{
			"symbols", event(enum(`"X","Y"`)), event(enum(`"Y","Z"`)),
			[]schemas.Change{{Kind: "symbol_added", Path: "A", New: "Z"}, {Kind: "symbol_removed", Path: "A", Old: "X"}}, "symbol Z added; field A: symbol X removed",
		},
		{
			"fixed size", event(`{"name":"A","type":{"type":"fixed","name":"F","size":4}}`), event(`{"name":"A","type":{"type":"fixed","name":"F","size":8}}`),
			[]schemas.Change{{Kind: "retyped", Path: "A", Old: "com.sforce.eventbus.F(4 bytes)", New: "com.sforce.eventbus.F(8 bytes)"}}, "8 bytes",
		},
		{
			"event renamed", event(`{"name":"A","type":"string"}`), strings.Replace(event(`{"name":"A","type":"string"}`), "X__e", "ns1__X__e", 1),
			[]schemas.Change{{Kind: "renamed", Old: "com.sforce.eventbus.X__e", New: "com.sforce.eventbus.ns1__X__e"}}, "the event: type com.sforce.eventbus.X__e renamed to com.sforce.eventbus.ns1__X__e",
		},
		{
			"namespace", event(`{"name":"A","type":"string"}`), strings.Replace(event(`{"name":"A","type":"string"}`), "com.sforce.eventbus", "com.acme", 1),
			[]schemas.Change{{Kind: "renamed", Old: "com.sforce.eventbus.X__e", New: "com.acme.X__e"}}, "com.acme.X__e",
		},
		{
			"inner type renamed", event(addressWith("")), event(strings.Replace(addressWith(`,{"name":"B","type":"int"}`), `"Address"`, `"Location"`, 1)),
			[]schemas.Change{{Kind: "renamed", Path: "A", Old: "com.sforce.eventbus.Address", New: "com.sforce.eventbus.Location"}, {Kind: "added", Path: "A.B", New: "int"}}, "renamed",
		},
		{
			"default", event(`{"name":"A","type":"long"}`), event(`{"name":"A","type":"long","default": 3}`),
			[]schemas.Change{{Kind: "default", Path: "A", New: "3"}}, "default changed from none to 3",
		},
		{
			"doc", event(`{"name":"A","type":"long","doc":"Data:Int:00N1"}`), event(`{"name":"A","type":"long","doc":"Data:Int:00N2"}`),
			[]schemas.Change{{Kind: "doc", Path: "A", Old: "Data:Int:00N1", New: "Data:Int:00N2"}}, "doc changed",
		},
		{
			"order", event(`{"name":"A","type":"int"}`, `{"name":"B","type":"int"}`), event(`{"name":"B","type":"int"}`, `{"name":"A","type":"int"}`),
			[]schemas.Change{{Kind: "reordered"}}, "the event: fields or symbols in another order",
		},
		{
			"order of symbols", event(enum(`"X","Y","Z"`)), event(enum(`"X","Z","Y"`)),
			[]schemas.Change{{Kind: "reordered", Path: "A"}}, "field A: fields or symbols in another order",
		},
		{
			"order of a union", event(`{"name":"A","type":["null","string"]}`), event(`{"name":"A","type":["string","null"]}`),
			[]schemas.Change{{Kind: "retyped", Path: "A", Old: "null|string", New: "string|null"}}, "from null|string to string|null",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			old, now := registered(t, c.old), registered(t, c.now)
			got := schemas.Diff(old, now)
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if !strings.Contains(got.String(), c.says) {
				t.Errorf("%q does not say %q", got.String(), c.says)
			}
			if same := schemas.Diff(now, now); len(same) > 0 {
				t.Errorf("seen from itself: %v", same)
			}
			if back := schemas.Diff(now, old); len(back) != len(got) {
				t.Errorf("seen the other way: %v", back)
			}
		})
	}
}

// Fields come in the order of the new schema, what was removed behind them.
func TestDiffOrderIsStable(t *testing.T) {
	old := registered(t, event(`{"name":"Z","type":"int"}`, `{"name":"Gone","type":"int"}`, `{"name":"A","type":"int","doc":"x"}`))
	now := registered(t, event(`{"name":"New","type":"int"}`, `{"name":"Z","type":"long"}`, `{"name":"A","type":"int","doc":"y"}`))
	for range 10 {
		got := schemas.Diff(old, now).String()
		want := `field New added (int); field Z retyped from int to long; field A: doc changed from "x" to "y"; field Gone removed (int)`
		if got != want {
			t.Fatalf("got %s", got)
		}
	}
	if got := schemas.Diff(old, now).Structural(); len(got) != 3 {
		t.Errorf("structural: %v", got)
	}
}

// Types that several fields share are reported at each, and shared ones without
// a change cost one comparison: 2^30 paths would not end.
func TestDiffOfSharedTypes(t *testing.T) {
	two := event(`{"name":"A","type":{"type":"record","name":"R","fields":[{"name":"X","type":"int"}]}}`, `{"name":"B","type":"R"}`)
	got := schemas.Diff(registered(t, two), registered(t, strings.Replace(two, `"int"`, `"long"`, 1)))
	if len(got) != 2 || got[0].Path != "A.X" || got[1].Path != "B.X" {
		t.Errorf("got %v", got)
	}
	var deep strings.Builder
	deep.WriteString(`{"type":"record","name":"R0","fields":[]}`)
	text := deep.String()
	for i := 1; i <= 30; i++ {
		name := "R" + string(rune('a'+i%26)) + strings.Repeat("x", i)
		inner := text[strings.Index(text, `"name":"`)+8:]
		inner = inner[:strings.IndexByte(inner, '"')]
		text = `{"type":"record","name":"` + name + `","fields":[{"name":"L","type":` + text + `},{"name":"R","type":"` + inner + `"}]}`
	}
	if got := schemas.Diff(registered(t, text), registered(t, text)); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

func TestParseCurrentAndRegistered(t *testing.T) {
	text := event(`{"name":"A","type":"long","doc":"x:DateTime"}`)
	now, err := schemas.ParseCurrent([]byte(text))
	if err != nil || now.ID != "u" {
		t.Errorf("id %q, %v", now.ID, err)
	}
	asIs := registered(t, text)
	if string(asIs.JSON) != text || asIs.Root.Fields[0].Type.Kind != schemas.KindLong {
		t.Errorf("a registered text is changed: %s", asIs.JSON)
	}
	// What we register and read again is the same.
	if diff := schemas.Diff(registered(t, string(now.JSON)), now); len(diff) > 0 {
		t.Errorf("our own text: %v", diff)
	}
	for _, bad := range []string{``, `7`, `<html>`, `{"type":"record"}`, `{"type":"enum","name":"E","symbols":["A"]}`} {
		if _, err := schemas.ParseCurrent([]byte(bad)); err == nil {
			t.Errorf("%q is taken as current", bad)
		}
		if s, err := schemas.ParseRegistered([]byte(bad)); err == nil || s != nil {
			t.Errorf("%q is taken as registered", bad)
		}
	}
}

// Names as Salesforce gives them: two packages may have entities of one name, and
// no word is reserved in a place where Salesforce puts names.
func TestNamesOfSalesforce(t *testing.T) {
	subjects := make(map[string]bool)
	for _, name := range []string{
		"Thing__ChangeEvent", "ns1__Thing__ChangeEvent", "ns2__Thing__ChangeEvent", "string", "record", "Array__ChangeEvent", "null__e", "x_",
	} {
		text := strings.Replace(event(header, `{"name":"type","type":["null","string"]}`, `{"name":"default","type":["null","int"]}`,
			`{"name":"namespace","type":["null","int"]}`, `{"name":"class","type":["null","int"]}`, `{"name":"ns1__A__c","type":["null","int"]}`), "X__e", name, 1)
		s := mustParse(t, text)
		if s.Name != name || s.FullName != "com.sforce.eventbus."+name {
			t.Errorf("%s became %s, %s", name, s.Name, s.FullName)
		}
		for _, st := range []schemas.SubjectStrategy{schemas.TopicSubject, schemas.RecordSubject, schemas.TopicRecordSubject} {
			if subject := st.Subject("salesforce."+name, s); subjects[subject] {
				t.Errorf("two events have the subject %s", subject)
			} else {
				subjects[subject] = true
			}
		}
	}
	// Without a namespace a type's name must not be one of Avro's own.
	for _, name := range []string{"string", "int"} {
		text := `{"type":"record","name":"` + name + `","fields":[]}`
		if _, err := schemas.Parse("id", []byte(text)); err == nil {
			t.Errorf("an event called %s passes", name)
		}
	}
}

func TestDiffOfJSONSchemas(t *testing.T) {
	avro := mustParse(t, event(header))
	now := schemas.JSONSchema(avro)
	spaced := &schemas.Schema{JSON: append(bytes.ReplaceAll(now.JSON, []byte(`,"`), []byte(`, "`)), '\n'), TextType: schemas.JSONSchemaText}
	if got := schemas.Diff(spaced, now); len(got) != 0 {
		t.Errorf("the same with other white space: %s", got)
	}
	other := &schemas.Schema{JSON: []byte(`{"type":"object"}`), TextType: schemas.JSONSchemaText}
	for _, old := range []*schemas.Schema{other, avro, {JSON: []byte("{"), TextType: schemas.JSONSchemaText}} {
		if got := schemas.Diff(old, now); len(got) != 1 || got.String() != "the JSON Schema is another" {
			t.Errorf("%s: %s", old.JSON[:1], got)
		}
	}
}
