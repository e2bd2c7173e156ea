package model

// rule is one kind of step. next hands out every state that the rule leads to.
type rule struct {
	name string // WHO and WHAT stand for the two parts of about
	what string // what it stands for in the program or in Kafka
	next func(p Protocol, s state, emit emit)
}

// emit takes what a rule leads to, and what that step was about.
type emit func(a about, to state)

// about is who takes a step, an owner, and what it is about: a kind of message
// or a partition.
type about struct{ who, what uint8 }

// rules are all steps that the world can take. Any of them that is possible may
// be the next one: that is what pauses, slowness and late messages are made of.
func rules() []rule {
	return []rule{
		// The owner.
		{"WHO is assigned", "the group gave it the lane: Lane.session opens the producer, sink.Open fences", assigned},
		{"WHO writes its barrier", "Lane.positions: the barrier's transaction begins", writesBarrier},
		{"WHO reads its positions", "Store.Load has read far enough; the source is opened behind them", reads},
		{"WHO takes events", "carrier.poll and committer.commit: a transaction begins, all of it is sent", takes},
		{"WHO goes on with its commit", "the next part of a commit that is made of two", goesOn},
		{"WHO lets go", "it hears that the lane is another's, and drops everything", letsGo},

		// Kafka.
		{"WHO: WHAT arrives", "it is judged, and the answer is heard", arrives},
		{"a marker is written to WHAT", "the coordinator writes them after its answer to EndTxn, one by one", marks},
		{"the high watermark catches up", "the new leader hears what its followers have", catchesUp},
		{"the lane moves to WHO", "by the group; the owners hear of it when they hear of it", moves},

		// Troubles.
		{"WHO crashes", "and is started again if the lane is its own; what it sent may still arrive", crashes},
		{"WHO: WHAT arrives, its answer is lost", "an unknown outcome: the lane is reopened", losesAnswer},
		{"WHO gives up waiting", "the request may still arrive; the lane is reopened", givesUp},
		{"WHO aborts", "a record was refused, all others are answered: the same producer tries again", aborts},
		{"WHO: EndTxn is sent twice", "a connection breaks, the client repeats itself, both copies arrive", doubles},
		{"a transaction times out", "the coordinator aborts it", timesOut},
		{"the positions get another leader", "a follower which does not know yet that what was written last is committed", elects},
	}
}

func assigned(p Protocol, s state, emit emit) {
	who := s.assigned
	if s.owners[who].at == idle {
		s.start(p, who)
		emit(about{who: who}, s)
	}
}

// each runs f for both owners, or both transactional ids, on a state of its own.
func each(s state, emit emit, f func(who uint8, s *state) bool) {
	for who := range uint8(2) {
		to := s
		if f(who, &to) {
			emit(about{who: who}, to)
		}
	}
}

// begins takes an owner to the beginning of a transaction, or to its end.
func begins(p Protocol, who uint8, s *state) bool {
	switch s.begin(p, who) {
	case done:
	case fenced:
		s.stop(p, who) // I7
	default:
		return false
	}
	return true
}

func writesBarrier(p Protocol, s state, emit emit) {
	each(s, emit, func(who uint8, s *state) bool { return s.owners[who].at == opened && begins(p, who, s) })
}

func goesOn(p Protocol, s state, emit emit) {
	each(s, emit, func(who uint8, s *state) bool { return s.owners[who].at == between && begins(p, who, s) })
}

func reads(p Protocol, s state, emit emit) {
	each(s, emit, func(who uint8, s *state) bool {
		if s.owners[who].at != reading {
			return false
		}
		log, enough := s.readable(p, who)
		if enough {
			s.subscribe(who, lastPosition(log))
		}
		return enough
	})
}

func takes(p Protocol, s state, emit emit) {
	for n := range uint8(p.Batch) {
		each(s, emit, func(who uint8, s *state) bool {
			o := &s.owners[who]
			if o.at != running || int(o.next+n) > p.Events {
				return false
			}
			o.to = o.next + n
			return begins(p, who, s)
		})
	}
}

func letsGo(p Protocol, s state, emit emit) {
	each(s, emit, func(who uint8, s *state) bool {
		if s.assigned == who || s.owners[who].at == idle {
			return false
		}
		s.stop(p, who)
		return true
	})
}

func arrives(p Protocol, s state, emit emit) {
	for i, m := range s.net {
		if to := s; m.kind != 0 && to.arrive(p, i) {
			emit(about{m.owner, m.kind}, to)
		}
	}
}

func marks(_ Protocol, s state, emit emit) {
	for _, part := range []uint8{toRecords, toPositions} {
		for id, c := range s.ids {
			if (c.status == prepareCommit || c.status == prepareAbort) && c.parts&part != 0 {
				to := s
				to.mark(uint8(id), part)
				emit(about{uint8(id), part}, to)
			}
		}
	}
}

func catchesUp(_ Protocol, s state, emit emit) {
	if i := s.positions.stale(); i >= 0 {
		s.positions.log[i].above = 0
		emit(about{}, s)
	}
}

func moves(_ Protocol, s state, emit emit) {
	if s.moves > 0 {
		s.moves--
		s.assigned = 1 - s.assigned
		emit(about{who: s.assigned}, s)
	}
}
