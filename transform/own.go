package transform

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/schemas"
)

// ownTopic writes values of one of the bridge's own schemas, with the registry,
// subject strategy and format of the records of events. It is safe for concurrent
// use.
type ownTopic struct {
	topic    string
	registry Registrar
	subject  schemas.SubjectStrategy
	format   Format
	schema   avro.Schema
	own      *schemas.Schema
}

func newOwnTopic(topic string, cfg *Config, own *schemas.Schema) (ownTopic, error) {
	// A fresh cache: the library's own is one for the whole process.
	parsed, err := avro.ParseBytesWithCache(own.JSON, "", &avro.SchemaCache{})
	if err != nil {
		return ownTopic{}, fmt.Errorf("schema %s: %w", own.FullName, err)
	}
	o := ownTopic{topic: topic, registry: cfg.Registry, subject: cfg.Subject, format: cfg.Format, schema: parsed, own: own}
	if o.format == Raw {
		o.format = JSON // there is nothing of Salesforce's to leave as it is
	}
	return o, nil
}

// record makes a record of a value, which is written in Avro and in JSON alike.
// Errors are the registry's.
func (o *ownTopic) record(ctx context.Context, key string, wire any) (*kgo.Record, error) {
	r := &kgo.Record{Topic: o.topic, Key: []byte(key)}
	var err error
	if o.format == JSON {
		r.Value, err = json.Marshal(wire)
		return r, err
	}
	if o.registry == nil {
		r.Headers = []kgo.RecordHeader{{Key: "sf-schema-fingerprint", Value: []byte(o.own.Fingerprint)}}
	} else {
		id, err := o.registry.Register(ctx, o.subject.Subject(o.topic, o.own), o.own)
		if err != nil {
			return nil, err
		}
		r.Value = binary.BigEndian.AppendUint32([]byte{0}, uint32(id)) //nolint:gosec // the registry's client gives ids that fit
	}
	body, err := avro.Marshal(o.schema, wire)
	if err != nil {
		return nil, fmt.Errorf("encoding a record of %s: %w", o.own.Name, err)
	}
	r.Value = append(r.Value, body...)
	return r, nil
}
