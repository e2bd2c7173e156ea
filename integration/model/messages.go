package model

// arrive brings a request to Kafka, and its answer to the sender if it still
// waits. It returns false if nothing happens but that the client asks again.
func (s *state) arrive(p Protocol, i int) bool {
	m := s.net[i]
	id := p.id(m.owner)
	before := s.ids[id].status
	a := s.judge(p, m)
	if a == later {
		if m.live != yes {
			s.net[i] = message{} // nobody is there to repeat it
		}
		return m.live != yes || s.ids[id].status != before
	}
	s.net[i] = message{}
	if m.live == yes {
		s.hear(p, m, a)
	}
	return true
}

// judge is what Kafka does about a request.
func (s *state) judge(p Protocol, m message) answer {
	switch id := p.id(m.owner); m.kind {
	case sendInit:
		return s.initProducerID(p, id)
	case sendEnd:
		return s.endTxn(p, id, m.epoch, m.to)
	default:
		return s.produce(p, m)
	}
}

// hear is what an owner does about an answer.
func (s *state) hear(p Protocol, m message, a answer) {
	o := &s.owners[m.owner]
	switch {
	case a == fenced:
		s.stop(p, m.owner) // I7
	case a == refused:
		s.reopen(p, m.owner)
	case m.kind == sendInit:
		s.opened(p, m.owner, s.ids[p.id(m.owner)].epoch)
	case m.kind == sendEnd:
		o.epoch = s.ids[p.id(m.owner)].epoch
		if m.to == prepareAbort {
			o.at = between // and tries the same commit again
			return
		}
		s.staged(p, m.owner)
	default:
		s.acknowledged(p, m.owner, target(m))
	}
}
