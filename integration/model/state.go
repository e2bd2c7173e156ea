package model

import (
	"cmp"
	"slices"
)

// The partitions, as bits.
const (
	toRecords uint8 = 1 << iota
	toPositions
)

const (
	maxEntries  = 16
	maxMessages = 10
	barrier     = 0xff // as the value of an entry of the positions
	yes         = 1    // of the fields that are yes or no
)

// state is the whole world at one moment. It holds bytes only, so that two are
// equal if and only if their memory is.
type state struct {
	owners    [2]owner
	ids       [2]coordinated // by transactional id
	records   partition
	positions partition
	net       [maxMessages]message // sent and not arrived; unordered
	epoch     uint8                // the newest that was given
	assigned  uint8                // whom the group coordinator gave the lane
	moves     uint8                // left
	troubles  uint8                // left
	read      uint8                // newest epoch whose owner has read its positions: for I7 only
}

// owner is one process.
type owner struct {
	at    uint8 // what it does, below
	epoch uint8
	next  uint8 // the event that comes after what it has committed or read
	to    uint8 // last event of the batch in hand; 0 while its barrier is written
	stage uint8
	wait  uint8 // partitions that have not acknowledged
	token uint8 // of its barrier: the epoch that it was written with
}

// What an owner does.
const (
	idle    uint8 = iota // owns nothing that it knows of
	opening              // waits for InitProducerID
	opened               // has its epoch
	writing              // waits for acknowledgements
	ending               // waits for the answer to EndTxn
	between              // has one transaction of a commit, not the next
	reading              // reads the positions
	running              // subscribed, nothing in hand
)

// coordinated is what the transaction coordinator knows of a transactional id.
type coordinated struct {
	epoch  uint8
	status uint8 // below
	parts  uint8 // in the transaction; in prepare, those without a marker yet
	last   uint8 // how the last transaction ended: commit or abort
	ended  uint8 // the epoch of who ended it, until the next one begins: a repeated request is known by it
}

const (
	complete uint8 = iota // or empty
	ongoing
	prepareCommit
	prepareAbort
)

// partition is a log without what no reader will ever see: aborted records and
// markers. Of markers the leader keeps the newest epoch of each id.
type partition struct {
	log    [maxEntries]entry
	leader [2]uint8 // newest epoch seen, by transactional id
	n      uint8
}

type entry struct {
	value uint8 // event, position or barrier
	epoch uint8 // of its writer, while it is open or a barrier
	id    uint8
	open  uint8 // 1 until its marker comes
	above uint8 // 1 while its leader's high watermark is not known to have passed it
}

type message struct {
	kind  uint8
	owner uint8
	live  uint8 // 1 while its sender waits for the answer
	epoch uint8
	from  uint8 // first event
	to    uint8 // last event; position or barrier; commit or abort
}

// Kinds of messages. Zero is none.
const (
	sendInit uint8 = 1 + iota
	sendRecords
	sendPosition
	sendEnd
)

func (p *partition) add(e entry) {
	if int(p.n) == len(p.log) {
		panic("model: a log is longer than maxEntries")
	}
	p.log[p.n] = e
	p.n++
}

func (p *partition) entries() []entry { return p.log[:p.n] }

// keep drops the entries that f refuses.
func (p *partition) keep(f func(i int, e entry) bool) {
	old, n := p.log, p.n
	p.log, p.n = [maxEntries]entry{}, 0
	for i, e := range old[:n] {
		if f(i, e) {
			p.add(e)
		}
	}
}

// open is the epoch of the newest entry that an id has open, or 0.
func (p *partition) open(id uint8) uint8 {
	epoch := uint8(0)
	for _, e := range p.entries() {
		if e.open == yes && e.id == id {
			epoch = max(epoch, e.epoch)
		}
	}
	return epoch
}

// stale is the index of the first entry above a high watermark that lags behind,
// or -1.
func (p *partition) stale() int {
	return slices.IndexFunc(p.entries(), func(e entry) bool { return e.above == yes })
}

func (s *state) send(m message) {
	for i := range s.net {
		if s.net[i].kind == 0 {
			s.net[i] = m
			return
		}
	}
	panic("model: more messages in flight than maxMessages")
}

// detach makes the answers to all that an owner sent go nowhere.
func (s *state) detach(p Protocol, owner uint8) {
	for i := range s.net {
		if s.net[i].owner != owner {
			continue
		}
		s.net[i].live = 0
		if p.Prompt {
			s.net[i] = message{}
		}
	}
}

// canonical gives states that nothing can tell apart the same form.
func (s *state) canonical(p Protocol) {
	s.dropDead(p)
	s.compact()
	for i := range s.owners {
		o := &s.owners[i]
		if o.at == idle {
			*o = owner{}
		}
		if o.at == running || o.at == idle {
			o.token = 0
		}
	}
	s.rank()
	slices.SortFunc(s.net[:], func(a, b message) int { return cmp.Compare(b.key(), a.key()) })
}

// key orders messages; none comes last.
func (m message) key() uint64 {
	return uint64(m.kind)<<40 | uint64(m.owner)<<32 | uint64(m.live)<<28 | uint64(m.epoch)<<16 | uint64(m.from)<<8 | uint64(m.to)
}

// dropDead drops messages that nobody waits for and that will be refused
// whenever they arrive, since epochs only grow.
func (s *state) dropDead(p Protocol) {
	for i, m := range s.net {
		if m.live == yes || p.Delivery == AtLeastOnce {
			continue
		}
		id := p.id(m.owner)
		old := m.epoch < s.ids[id].epoch
		dead := false
		switch m.kind {
		case sendEnd:
			dead = old
		case sendRecords, sendPosition:
			part := s.target(m)
			dead = m.epoch < part.leader[id] || old && p.Broker != Kafka35 && part.open(id) == 0
		}
		if dead {
			s.net[i] = message{}
		}
	}
}

// compact drops positions that no reader can come to need: of those that follow
// each other undisturbed the last two are kept, since a stale high watermark may
// hide the last one.
func (s *state) compact() {
	log := s.positions
	if log.stale() >= 0 {
		return
	}
	s.positions.keep(func(i int, e entry) bool {
		if e.open == yes {
			return true
		}
		if e.value == barrier {
			return s.awaited(e)
		}
		later := 0
		for _, f := range log.entries()[i+1:] {
			if f.open == yes || f.value == barrier && s.awaited(f) {
				break
			}
			if f.value != barrier {
				later++
			}
		}
		return later < 2
	})
}

// awaited says whether an owner still looks for a barrier.
func (s *state) awaited(e entry) bool {
	return slices.ContainsFunc(s.owners[:], func(o owner) bool { return o.token == e.epoch && o.at != idle && o.at != running })
}

// rank renumbers epochs, of which only the order matters.
func (s *state) rank() {
	for _, part := range []*partition{&s.records, &s.positions} {
		for i := range part.entries() {
			if e := &part.log[i]; e.open != yes {
				e.id = 0
				if e.value != barrier {
					e.epoch = 0 // who wrote it is forgotten
				}
			}
		}
	}
	var to [256]uint8
	s.eachEpoch(func(e *uint8) { to[*e] = yes })
	s.epoch = 0
	to[0] = 0
	for e, used := range to {
		if used == yes {
			s.epoch++
			to[e] = s.epoch
		}
	}
	s.eachEpoch(func(e *uint8) { *e = to[*e] })
}

// eachEpoch calls f for every place that holds an epoch; zero is none.
func (s *state) eachEpoch(f func(*uint8)) {
	for i := range s.owners {
		f(&s.owners[i].epoch)
		f(&s.owners[i].token)
		f(&s.ids[i].epoch)
		f(&s.ids[i].ended)
		f(&s.records.leader[i])
		f(&s.positions.leader[i])
	}
	for i := range s.records.entries() {
		f(&s.records.log[i].epoch)
	}
	for i := range s.positions.entries() {
		f(&s.positions.log[i].epoch)
	}
	for i := range s.net {
		f(&s.net[i].epoch)
	}
	f(&s.read)
}
