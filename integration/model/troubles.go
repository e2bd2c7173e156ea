package model

// trouble is each for steps that Protocol.Troubles bounds.
func trouble(s state, emit emit, f func(who uint8, s *state) bool) {
	if s.troubles > 0 {
		s.troubles--
		each(s, emit, f)
	}
}

func crashes(p Protocol, s state, emit emit) {
	trouble(s, emit, func(who uint8, s *state) bool {
		if s.owners[who].at == idle {
			return false
		}
		s.stop(p, who)
		return true
	})
}

func losesAnswer(p Protocol, s state, emit emit) {
	if s.troubles == 0 {
		return
	}
	s.troubles--
	for i, m := range s.net {
		if m.live != yes {
			continue
		}
		to := s
		to.net[i].live = 0
		if to.arrive(p, i) {
			to.giveUp(p, m.owner)
			emit(about{m.owner, m.kind}, to)
		}
	}
}

func givesUp(p Protocol, s state, emit emit) {
	trouble(s, emit, func(who uint8, s *state) bool {
		at := s.owners[who].at
		if at != opening && at != writing && at != ending {
			return false
		}
		s.giveUp(p, who)
		return true
	})
}

func aborts(_ Protocol, s state, emit emit) {
	trouble(s, emit, func(who uint8, s *state) bool {
		for i := range s.net {
			if m := &s.net[i]; m.kind == sendEnd && m.live == yes && m.owner == who && m.to == prepareCommit {
				m.to = prepareAbort // in place of what would have been sent now
				return true
			}
		}
		return false
	})
}

func doubles(p Protocol, s state, emit emit) {
	if !p.Repeats {
		return
	}
	trouble(s, emit, func(who uint8, s *state) bool {
		for _, m := range s.net {
			if m.kind == sendEnd && m.live == yes && m.owner == who {
				m.live = 0
				s.send(m)
				return true
			}
		}
		return false
	})
}

func timesOut(_ Protocol, s state, emit emit) {
	trouble(s, emit, func(id uint8, s *state) bool {
		if s.ids[id].status != ongoing {
			return false
		}
		s.abortForeign(id)
		return true
	})
}

func elects(_ Protocol, s state, emit emit) {
	if s.troubles == 0 || s.positions.stale() >= 0 {
		return
	}
	s.troubles--
	for i := len(s.positions.entries()) - 1; i >= 0; i-- {
		if e := &s.positions.log[i]; e.open != yes {
			e.above = yes
			emit(about{}, s)
			return
		}
	}
}
