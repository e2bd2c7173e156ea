package schemas_test

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/sfbridge/bridge/schemas"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// TestDecoder reads a value back through the registry, and refuses every cut of
// it: the Avro library alone takes some of them for whole.
func TestDecoder(t *testing.T) {
	fake := srfake.New()
	t.Cleanup(fake.Close)
	r, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{fake.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	s := mustParse(t, event(
		`{"name":"Text","type":"string"}`, `{"name":"At","type":"long","doc":"x:DateTime"}`, `{"name":"Ratio","type":"double"}`,
		`{"name":"Many","type":{"type":"array","items":"int"}}`, `{"name":"Nil","type":["null","boolean"]}`,
		`{"name":"E","type":{"type":"enum","name":"E","symbols":["A","B"]}}`, `{"name":"None","type":{"type":"map","values":"string"}}`,
	))
	if s, err = schemas.WithExtras(s); err != nil {
		t.Fatal(err)
	}
	id, err := r.Register(t.Context(), "x-value", s)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := avro.ParseWithCache(string(s.JSON), "", &avro.SchemaCache{})
	if err != nil {
		t.Fatal(err)
	}
	body, err := avro.Marshal(plain, map[string]any{
		"Text": "é\"", "At": time.UnixMilli(1772615722481), "Ratio": 0.5, "Many": map[string]any{"array": []any{1, -2}}, "Nil": nil,
		"E": map[string]any{"com.sforce.eventbus.E": "B"}, "None": map[string]any{"map": map[string]any{}},
		"_extras": map[string]any{"map": map[string]any{"New__c": `"é"`}},
	})
	if err != nil {
		t.Fatal(err)
	}
	value := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), body...)
	d := r.Decoder()
	got, err := d.JSON(t.Context(), value)
	if want := `{"Text":"é\"","At":1772615722481,"Ratio":0.5,"Many":[1,-2],"Nil":null,"E":"B","None":{},"_extras":{"New__c":"\"é\""}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	bad := [][]byte{append(value[:len(value):len(value)], 0), append([]byte{1}, value[1:]...), append([]byte{0, 0, 0, 0, 99}, body...)}
	for n := range value {
		bad = append(bad, value[:n])
	}
	for _, v := range bad {
		var decode *schemas.DecodeError
		if out, err := d.JSON(t.Context(), v); !errors.As(err, &decode) {
			t.Errorf("% x becomes %s, %v", v, out, err)
		}
	}
}
