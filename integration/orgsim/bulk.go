package orgsim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Bulk asks for many events at once: the load of benchmarks and catch-up tests.
type Bulk struct {
	Object  string `json:"object"`            // an sObject or a platform event
	Count   int    `json:"count"`             // events
	Bytes   int    `json:"bytes,omitempty"`   // about how large each data member is; 0: as it comes
	Records int    `json:"records,omitempty"` // sObjects: how many records the changes go round; default 1,000
	Batch   int    `json:"batch,omitempty"`   // events a transaction; default 1
}

// Bulk publishes b.Count events: platform events, or first creates and then
// updates of b.Records records. A long text field pads them to b.Bytes.
func (o *Org) Bulk(b Bulk) error {
	ob := o.objects[b.Object]
	if ob == nil {
		return errNoObject(b.Object)
	}
	orDefault(&b.Records, 1000)
	b.Batch = max(b.Batch, 1)
	g := newGenerator(o, o.cfg.Seed^uint64(o.LedgerLen())) //nolint:gosec // a seed
	o.mu.Lock()
	pad := newPadding(ob, b.Bytes, g.rnd)
	o.mu.Unlock()
	var ids []string
	for done := 0; done < b.Count; {
		n := min(b.Batch, b.Count-done)
		err := o.Transact(TxOptions{}, func(tx *Tx) error {
			for i := range n {
				if err := o.bulkOne(tx, ob, b, g, pad, done+i, &ids); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		done += n
		if v := o.bus.view(); v.end > v.base {
			pad.adjust(len(v.at(v.end - 1).data))
		}
	}
	return nil
}

func (o *Org) bulkOne(tx *Tx, ob *object, b Bulk, g *generator, pad *padding, i int, ids *[]string) error {
	if ob.def.IsEvent() {
		_, err := tx.Publish(b.Object, pad.add(g.fields(ob, false), i))
		return err
	}
	if len(*ids) < b.Records {
		id, err := tx.Create(b.Object, pad.add(g.fields(ob, false), i))
		*ids = append(*ids, id)
		return err
	}
	return tx.Update(b.Object, (*ids)[i%len(*ids)], pad.add(g.fields(ob, true), i))
}

// padding fills a long text field so that events come to the wanted size, by
// what the events before were short of.
type padding struct {
	field string
	text  string
	want  int
	use   int // bytes of text that the next event gets
}

func newPadding(ob *object, bytes int, rnd *rand.Rand) *padding {
	p := &padding{want: bytes}
	for _, f := range ob.fields {
		if f.Type == LongText && bytes > 0 {
			p.field = f.Name
			p.text = words(rnd, max(16, min(bytes, f.Length-16)))
		}
	}
	p.use = len(p.text) / 2
	return p
}

func (p *padding) add(fields Fields, i int) Fields {
	if p.field != "" {
		fields[p.field] = fmt.Sprintf("%08d ", i) + p.text[:p.use]
	}
	return fields
}

func (p *padding) adjust(size int) {
	p.use = min(max(p.use+(p.want-size)/4, 0), len(p.text))
}

// words makes a text of about n bytes.
func words(rnd *rand.Rand, n int) string {
	vocabulary := strings.Fields("order invoice shipment customer account amount delivery region contract renewal quarter partner discount approved pending urgent standard Munich cafe naive resume")
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(vocabulary[rnd.IntN(len(vocabulary))])
		b.WriteByte(' ')
	}
	return b.String()[:n]
}
