package sink

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// batchOverhead is the size of a record batch (magic 2) without records:
// base offset 8, length 4, leader epoch 4, magic 1, crc 4, attributes 2, last
// offset delta 4, first and max timestamp 16, producer id 8, epoch 2, base
// sequence 4, record count 4. Kafka protocol, "Record Batch".
const batchOverhead = 61

// lengthSlack is what the client counts on top: the length prefix of the batch
// inside a produce request.
const lengthSlack = 4

// aloneSize is the size in bytes of a batch that holds nothing but r, before
// compression: what the broker compares with max.message.bytes.
func aloneSize(r *kgo.Record) int {
	n := 1 + 1 + 1 // attributes, timestamp delta 0, offset delta 0
	n += varint(len(r.Key)) + len(r.Key)
	n += varint(len(r.Value)) + len(r.Value)
	n += varint(len(r.Headers))
	for _, h := range r.Headers {
		n += varint(len(h.Key)) + len(h.Key)
		n += varint(len(h.Value)) + len(h.Value)
	}
	return batchOverhead + varint(n) + n
}

// varint is the length of n as a zigzag varint.
func varint(n int) int {
	u := uint64(n) << 1
	l := 1
	for u >= 0x80 {
		u >>= 7
		l++
	}
	return l
}

// limits holds each topic's max.message.bytes. The client asks for it from its
// own goroutine, hence the lock.
type limits struct {
	mu sync.Mutex
	m  map[string]int
}

func (l *limits) set(topic string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.m == nil {
		l.m = make(map[string]int)
	}
	l.m[topic] = n
}

// known returns the topic's limit, or 0 if it could not be read.
func (l *limits) known(topic string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.m[topic]
}

// forClient is the largest batch that the client makes for a topic. The client
// wants at least 512 bytes and at most its own limit for a request.
func (l *limits) forClient(topic string) int32 {
	n := l.known(topic)
	if n == 0 {
		n = defaultMaxMessageBytes
	}
	return int32(min(max(n, 512), 64<<20))
}

// oversized finds the first record that fits in no batch, before anything is sent.
// What it goes by was read when the topic was first used: whoever raises a topic's
// limit, as the error asks for, need not restart anything, so it is read again
// before a record is refused, and a new producer goes by the new one.
func (p *Producer) oversized(ctx context.Context, records []*kgo.Record) (*RecordTooLargeError, error) {
	for {
		e := p.limits.oversized(records)
		if e == nil {
			return nil, nil
		}
		before := p.limits.known(e.Topic)
		if err := p.describe(ctx, []string{e.Topic}, []Topic{p.topics[e.Topic]}); err != nil {
			return nil, err
		}
		switch now := p.limits.known(e.Topic); {
		case now == before:
			return e, nil
		case now > before:
			// The client made up its mind about the topic when it met it.
			return nil, p.aborted(fmt.Errorf("max.message.bytes of topic %q was raised from %d to %d since", e.Topic, before, now))
		}
	}
}

// oversized finds the first record that fits in no batch, before anything is
// sent. It is nil if all do, as far as limits are known.
func (l *limits) oversized(records []*kgo.Record) *RecordTooLargeError {
	var topic string
	limit := 0
	for i, r := range records {
		if r.Topic != topic || limit == 0 {
			topic, limit = r.Topic, int(l.forClient(r.Topic))
		}
		if l.known(topic) == 0 {
			continue // left to the broker, which knows
		}
		if size := aloneSize(r); size+lengthSlack > limit {
			return &RecordTooLargeError{Index: i, Topic: topic, Size: size, Limit: limit}
		}
	}
	return nil
}
