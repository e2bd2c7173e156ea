package model

// What Kafka does is told here after its own source; the names in parentheses are
// those of its functions.

// answer is what a request came to.
type answer uint8

const (
	later answer = iota // CONCURRENT_TRANSACTIONS: the client asks again
	done
	fenced  // INVALID_PRODUCER_EPOCH, PRODUCER_FENCED
	refused // INVALID_TXN_STATE, TRANSACTION_ABORTABLE
)

// newEpoch gives an epoch that is newer than all others.
func (s *state) newEpoch() uint8 {
	s.epoch++
	return s.epoch
}

// initProducerID answers only when no transaction of the id is open and no
// marker of one is missing: an open one is aborted under an epoch that no
// producer has, and until it is complete the answer is CONCURRENT_TRANSACTIONS
// (TransactionCoordinator.prepareInitProducerIdTransit). Complete means that the
// markers are in the logs of all in-sync replicas, since they are written with
// acks=all (KafkaApis.handleWriteTxnMarkersRequest).
func (s *state) initProducerID(p Protocol, id uint8) answer {
	c := &s.ids[id]
	switch {
	case c.status == ongoing && p.SameEpoch:
		c.status = prepareAbort
	case c.status == ongoing:
		s.abortForeign(id)
	case c.status == complete && p.SameEpoch && c.epoch != 0:
		return done
	case c.status == complete, p.EagerInit:
		c.epoch, c.ended = s.newEpoch(), 0
		return done
	}
	return later
}

// abortForeign aborts an open transaction on behalf of somebody who is not its
// owner, under a new epoch: a new owner, or the transaction's timeout
// (prepareFenceProducerEpoch, abortTimedOutTransactions).
func (s *state) abortForeign(id uint8) {
	c := &s.ids[id]
	c.epoch = s.newEpoch()
	c.status = prepareAbort
}

// addPartitions enters partitions into the transaction of an id
// (handleAddPartitionsToTransaction).
func (s *state) addPartitions(id, epoch, parts uint8) answer {
	c := &s.ids[id]
	switch {
	case epoch != c.epoch:
		return fenced
	case c.status == prepareCommit, c.status == prepareAbort:
		return later
	case c.status == complete:
		c.status, c.parts, c.ended = ongoing, 0, 0
	}
	c.parts |= parts
	return done
}

// endTxn writes the decision into the coordinator's log, and answers; the markers
// come when they come (endTransaction, and onElection after a coordinator's
// restart, which therefore changes nothing but that answers are lost).
func (s *state) endTxn(p Protocol, id, epoch, how uint8) answer {
	c := &s.ids[id]
	switch {
	case epoch != c.epoch && epoch != c.ended:
		return fenced
	case c.status == complete && c.last == how:
		return done // it takes it for a repeated request
	case c.status == complete:
		return refused
	case c.status != ongoing:
		return later
	}
	c.status, c.last, c.ended = how, how, epoch
	if p.Broker == Kafka4 {
		c.epoch = s.newEpoch()
	}
	return done
}

// mark writes the marker of the decided transaction of an id into a partition.
// It settles whatever the id has open there, however it came to be there
// (ProducerAppendInfo.appendEndTxnMarker).
func (s *state) mark(id, part uint8) {
	c := &s.ids[id]
	log := s.part(part)
	commit := c.status == prepareCommit
	log.keep(func(_ int, e entry) bool { return commit || e.open != yes || e.id != id })
	for i := range log.entries() {
		if e := &log.log[i]; e.id == id {
			e.open = 0
		}
	}
	log.leader[id] = max(log.leader[id], c.epoch)
	if c.parts &^= part; c.parts == 0 {
		c.status = complete
	}
}

// produce is the leader's judgement of a batch (ProducerAppendInfo.checkProducerEpoch).
func (s *state) produce(p Protocol, m message) answer {
	part, log := target(m), s.target(m)
	id := p.id(m.owner)
	open := uint8(yes)
	if p.Delivery == AtLeastOnce {
		open = 0
	} else {
		if m.epoch < log.leader[id] {
			return fenced
		}
		if a := s.verify(p, id, m.epoch, part, log); a != done {
			return a
		}
		log.leader[id] = m.epoch
	}
	from := m.from
	if part == toPositions {
		from = m.to
	}
	for value := int(from); value <= int(m.to); value++ {
		log.add(entry{value: uint8(value), epoch: m.epoch, id: id, open: open})
	}
	return done
}

// verify is what a leader asks the coordinator about the first batch of a
// transaction (KIP-890; handleVerifyPartitionsInTransaction). It does not ask while
// the id has something open in the partition (UnifiedLog.hasOngoingTransaction).
func (s *state) verify(p Protocol, id, epoch, part uint8, log *partition) answer {
	c := &s.ids[id]
	open := log.open(id)
	switch {
	case p.Broker == Kafka35, open == epoch, open != 0 && p.Broker == Kafka36:
		return done // it is part of what is open
	case open != 0:
		return later // the marker of the one before is missing (KAFKA-18575)
	case p.Broker == Kafka4:
		return s.addPartitions(id, epoch, part)
	case epoch != c.epoch:
		return fenced
	case c.status == prepareCommit, c.status == prepareAbort:
		return later
	case c.status == complete, c.parts&part == 0:
		return refused
	}
	return done
}

func target(m message) uint8 {
	if m.kind == sendPosition {
		return toPositions
	}
	return toRecords
}

func (s *state) target(m message) *partition { return s.part(target(m)) }

func (s *state) part(part uint8) *partition {
	if part == toPositions {
		return &s.positions
	}
	return &s.records
}

// visible are the positions that a fetch in read_committed brings: those before
// the first that is open, and below a high watermark that a leader has which
// does not know yet how far its followers are. Whoever waits for the marker of a
// transaction to be known everywhere waits for its first record, too
// (ProducerStateManager.firstUnstableOffset).
func (s *state) visible() []entry {
	log := s.positions.entries()
	for i, e := range log {
		if e.open == yes || e.above == yes {
			return log[:i]
		}
	}
	return log
}
