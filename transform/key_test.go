package transform_test

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// TestAvroKeys: of every event on file, whatever its format and envelope, the
// records with Avro keys are those with plain ones but for the key, which an
// independent reader reads as the same text.
func TestAvroKeys(t *testing.T) {
	files, err := filepath.Glob("testdata/*/event.json")
	if err != nil {
		t.Fatal(err)
	}
	streaming, err := filepath.Glob("testdata/streaming/*/event.json")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, file := range slices.Concat(files, streaming) {
		dir := filepath.Dir(file)
		encode := func(avroKeys bool) ([]*kgo.Record, transform.Meta, error) {
			if strings.Contains(dir, "streaming") {
				ev := readEvent(t, dir)
				ev.avroKeys, ev.Registry = avroKeys, ""
				records, meta, _, err := encodeStreaming(t, ev, readTopicOrg(t, dir).catalog(), ev.Format)
				return records, meta, err
			}
			ev, text := readCase(t, dir)
			ev.avroKeys, ev.Registry = avroKeys, ""
			return encodeCase(t, ev, text, ev.Format)
		}
		plain, meta, err := encode(false)
		keyed, keyedMeta, keyedErr := encode(true)
		if err != nil || keyedErr != nil {
			if err == nil || keyedErr == nil || err.Error() != keyedErr.Error() {
				t.Errorf("%s: %v, with avro keys %v", dir, err, keyedErr)
			}
			continue
		}
		if len(plain) != len(keyed) || !reflect.DeepEqual(meta, keyedMeta) {
			t.Fatalf("%s: %d and %d records, %+v and %+v", dir, len(plain), len(keyed), meta, keyedMeta)
		}
		for i, r := range keyed {
			text := readKey(t, r.Key)
			if text != string(plain[i].Key) {
				t.Errorf("%s: the key of record %d is %q, want %q", dir, i, text, plain[i].Key)
			}
			same := *r
			if same.Key = plain[i].Key; !reflect.DeepEqual(&same, plain[i]) {
				t.Errorf("%s: record %d differs in more than its key", dir, i)
			}
			if i > 0 && r.Value == nil && string(r.Key) != string(keyed[i-1].Key) {
				t.Errorf("%s: the tombstone has another key than its record", dir)
			}
			compared++
		}
	}
	if compared < 150 {
		t.Errorf("%d records compared", compared)
	}
}

// readKey reads a key in Confluent's wire format by the schema "string".
func readKey(t *testing.T, key []byte) string {
	t.Helper()
	if len(key) < 5 || key[0] != 0 || binary.BigEndian.Uint32(key[1:]) < 1001 {
		t.Fatalf("the key %x is not in the wire format", key)
	}
	schema, err := avro.ParseWithCache(`"string"`, "", &avro.SchemaCache{})
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := avro.Unmarshal(schema, key[5:], &text); err != nil {
		t.Fatal(err)
	}
	again, err := avro.Marshal(schema, text)
	if err != nil || string(again) != string(key[5:]) {
		t.Fatalf("the key %x has more than the text %q: %v", key, text, err)
	}
	return text
}

// keys is a registry that notes what it is given.
type keys struct {
	registrar
	texts []string
}

func (k *keys) Register(ctx context.Context, subject string, s *schemas.Schema) (int, error) {
	k.texts = append(k.texts, string(s.JSON))
	return k.registrar.Register(ctx, subject, s)
}

// TestKeySubjects: the schema of keys has a subject of the topic's, whatever the
// strategy and the format, and is registered once.
func TestKeySubjects(t *testing.T) {
	ev, text := benchEvent(t)
	for _, subject := range []schemas.SubjectStrategy{schemas.TopicSubject, schemas.RecordSubject, schemas.TopicRecordSubject} {
		for _, format := range []transform.Format{transform.Avro, transform.JSON, transform.Raw} {
			registry := &keys{}
			e := newEncoder(t, transform.Config{
				Schemas: catalogOf(map[string]string{ev.SchemaID: text}), Registry: registry, Format: format, Subject: subject, KeyFormat: transform.AvroKeys,
			})
			for range 3 {
				if _, _, err := e.Encode(t.Context(), nil, ev); err != nil {
					t.Fatal(err)
				}
			}
			last := len(registry.subjects) - 1
			want := 1
			if format == transform.Avro {
				want = 2
			}
			if last+1 != want || registry.subjects[last] != "salesforce.Account-key" || registry.texts[last] != `"string"` {
				t.Errorf("%s, %s: %v of %v", subject, format, registry.subjects, registry.texts)
			}
		}
	}
}

// TestKeyRegistryIsDown: an event whose key's schema cannot be registered comes
// again.
func TestKeyRegistryIsDown(t *testing.T) {
	ev, text := benchEvent(t)
	registry := &registrar{err: &schemas.RegistryError{Status: 503}}
	e := newEncoder(t, transform.Config{
		Schemas: catalogOf(map[string]string{ev.SchemaID: text}), Registry: registry, Format: transform.Raw, KeyFormat: transform.AvroKeys,
	})
	if _, _, err := e.Encode(t.Context(), nil, ev); err == nil || !transform.Retryable(err) {
		t.Errorf("got %v", err)
	}
	registry.err = nil
	records, _, err := e.Encode(t.Context(), nil, ev)
	if err != nil || readKey(t, records[0].Key) != "001xx000003DGb2AAG" {
		t.Errorf("got %v", err)
	}
}

func TestKeyFormatErrors(t *testing.T) {
	for want, cfg := range map[string]transform.Config{
		"key format: avro needs a registry": {KeyFormat: transform.AvroKeys},
		"key format: unknown KeyFormat(2)":  {KeyFormat: transform.AvroKeys + 1},
	} {
		cfg.OrgID, cfg.Schemas = testOrg, catalogOf(nil)
		_, err := transform.NewEncoder(cfg)
		var config *transform.ConfigError
		if !errors.As(err, &config) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestKeysOfOneText: keys are the same bytes exactly if their texts are, so that
// the records of one key stay in one partition, in every topic whose schema of
// keys has one id.
func TestKeysOfOneText(t *testing.T) {
	const text = `{"name":"K__e","type":"record","fields":[{"name":"T","type":["null","string"]}]}`
	e := newEncoder(t, transform.Config{
		Schemas: catalogOf(map[string]string{"id": text}), Registry: &registrar{}, KeyFormat: transform.AvroKeys,
		Streams: map[string]transform.StreamOptions{"/event/K__e": {KeyField: "T"}},
	})
	texts := map[string]string{}
	for n := range 300 { // lengths whose varint has one, two and three bytes
		for _, key := range []string{strings.Repeat("k", n*n/4+1), strings.Repeat("k", n*n/4) + "l"} {
			for range 2 {
				records, _, err := e.Encode(t.Context(), nil, &transform.Event{Channel: "/event/K__e", SchemaID: "id", UUID: "u", Payload: []byte(`{"T":"` + key + `"}`)})
				if err != nil {
					t.Fatal(err)
				}
				got := string(records[0].Key)
				if before, ok := texts[got]; ok && before != key || readKey(t, records[0].Key) != key {
					t.Fatalf("the key of %d bytes is %x", len(key), got)
				}
				texts[got] = key
			}
		}
	}
	if len(texts) < 590 {
		t.Errorf("%d different keys", len(texts))
	}
}
