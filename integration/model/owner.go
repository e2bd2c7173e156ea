package model

import "slices"

// start opens the producer, or what comes before that.
func (s *state) start(p Protocol, who uint8) {
	o := &s.owners[who]
	*o = owner{at: opening}
	if p.SubscribeFirst {
		o.next = lastPosition(s.visible()) + 1
	}
	if p.Delivery == AtLeastOnce {
		s.opened(p, who, s.newEpoch()) // an id of its own, which fences nobody
		return
	}
	s.send(message{kind: sendInit, owner: who, live: yes})
}

// opened is the end of InitProducerID.
func (s *state) opened(p Protocol, who, epoch uint8) {
	o := &s.owners[who]
	o.epoch, o.at = epoch, opened
	switch {
	case p.SubscribeFirst:
		s.subscribe(who, o.next-1)
	case p.Reading != ToBarrier:
		o.at = reading
	}
}

// reopen is what follows every commit that failed: a new producer, and the
// positions read again.
func (s *state) reopen(p Protocol, who uint8) {
	s.detach(p, who)
	s.start(p, who)
}

// giveUp is what a sender does that waits for no answer any more. It does not ask
// for an abort while a record of it may still be on its way: the new producer's
// InitProducerID aborts, under an epoch that makes leaders refuse the latecomer.
func (s *state) giveUp(p Protocol, who uint8) {
	o := s.owners[who]
	s.reopen(p, who)
	if p.AbortsAtOnce && o.at == writing {
		s.send(message{kind: sendEnd, owner: who, epoch: o.epoch, to: prepareAbort})
	}
}

// stop ends an owner; what it sent may still arrive.
func (s *state) stop(p Protocol, who uint8) {
	s.detach(p, who)
	s.owners[who] = owner{}
}

// begin begins the transaction of the owner's next stage and sends what belongs
// into it.
func (s *state) begin(p Protocol, who uint8) answer {
	o := &s.owners[who]
	parts := toPositions
	if o.to != 0 {
		parts = p.stages()[o.stage]
	}
	if p.Delivery == ExactlyOnce && p.Broker != Kafka4 {
		if a := s.addPartitions(p.id(who), o.epoch, parts); a != done {
			return a
		}
	}
	o.at, o.wait = writing, parts
	if parts&toRecords != 0 {
		s.send(message{kind: sendRecords, owner: who, live: yes, epoch: o.epoch, from: o.next, to: o.to})
	}
	if parts&toPositions != 0 {
		m := message{kind: sendPosition, owner: who, live: yes, epoch: o.epoch, to: o.to}
		if o.to == 0 {
			m.to, o.token = barrier, o.epoch
		}
		s.send(m)
	}
	return done
}

// acknowledged goes on when all of a stage is acknowledged.
func (s *state) acknowledged(p Protocol, who, part uint8) {
	o := &s.owners[who]
	if o.wait &^= part; o.wait != 0 {
		return
	}
	if p.Delivery == AtLeastOnce {
		s.staged(p, who)
		return
	}
	o.at = ending
	s.send(message{kind: sendEnd, owner: who, live: yes, epoch: o.epoch, to: prepareCommit})
}

// staged goes on when a stage is durable. The last one confirms the batch.
func (s *state) staged(p Protocol, who uint8) {
	o := &s.owners[who]
	switch {
	case o.to == 0:
		o.at = reading
	case int(o.stage)+1 < len(p.stages()):
		o.stage++
		o.at = between
	default:
		o.next, o.to, o.stage, o.at = o.to+1, 0, 0, running
	}
}

// readable says whether an owner has read far enough, and what it has read.
func (s *state) readable(p Protocol, who uint8) ([]entry, bool) {
	log := s.visible()
	switch p.Reading {
	case ToBarrier:
		token := s.owners[who].token
		i := slices.IndexFunc(log, func(e entry) bool { return e.value == barrier && e.epoch == token })
		return log[:max(i, 0)], i >= 0
	case ToStableEnd:
		// A leader whose high watermark is stale answers OFFSET_NOT_AVAILABLE
		// (KIP-207), and the client asks again.
		return log, s.positions.stale() < 0
	default:
		return log, true
	}
}

func lastPosition(log []entry) uint8 {
	for i := len(log) - 1; i >= 0; i-- {
		if log[i].value != barrier {
			return log[i].value
		}
	}
	return 0
}

// subscribe takes up the stream behind a position.
func (s *state) subscribe(who, position uint8) {
	o := &s.owners[who]
	o.next, o.to, o.stage, o.at = position+1, 0, 0, running
	s.read = max(s.read, o.epoch)
}
