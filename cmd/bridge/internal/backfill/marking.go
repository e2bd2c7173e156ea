package backfill

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/transform"
)

// HeaderRun is the header that tells a record of a run from one of the stream.
const HeaderRun = "sf-replay-run"

// Marking is an encoder whose records say of which run they are, and go where that
// wants them. Records of rows that nobody wants it leaves out.
func Marking(inner pipeline.Encoder, run Run) pipeline.Encoder { return marking{inner, run} }

type marking struct {
	inner pipeline.Encoder
	run   Run
}

func (m marking) Encode(ctx context.Context, dst []*kgo.Record, ev *transform.Event) ([]*kgo.Record, transform.Meta, error) {
	out, meta, err := m.inner.Encode(ctx, dst, ev)
	if err != nil {
		return out, meta, err
	}
	if ev.Position == "" { // a row: the lane asks for events alone whether they are wanted
		out = m.run.Filter.rows(out, len(dst), meta.Object)
	}
	for _, r := range out[len(dst):] {
		if r.Topic, err = m.run.Target(r.Topic); err != nil {
			return dst, meta, &transform.ConfigError{Setting: "--into", Reason: err.Error()}
		}
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: HeaderRun, Value: []byte(m.run.ID)})
	}
	return out, meta, nil
}
