package pipeline

import (
	"maps"
	"slices"
	"time"
)

// MemberState is what a process knows about its part in the group that shares out
// the lanes.
type MemberState struct {
	Joined   bool     // it was told which lanes are its own, if any
	Lanes    []int32  // that are ours
	Starting []int32  // of them, those that were assigned a moment ago and have not begun
	Members  int      // of the group, as last seen
	Trouble  *Trouble // what keeps us out of the group; nil if nothing does
	// Differing are the instances whose configuration is not ours, since
	// DifferingSince.
	Differing      []string
	DifferingSince time.Time
}

func (m *MemberState) trouble(c Condition, err error, now time.Time) {
	if m.Trouble != nil {
		now = m.Trouble.Since
	}
	m.Trouble = &Trouble{Condition: c, Message: err.Error(), Since: now}
}

// Membership returns a moment of it.
func (s *Stats) Membership() MemberState {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.membership
	out.Lanes = slices.Sorted(maps.Keys(s.held))
	for _, lane := range out.Lanes {
		if !s.held[lane] {
			out.Starting = append(out.Starting, lane)
		}
	}
	return out
}

func (s *Stats) member(change func(*MemberState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.membership)
}

// differs notes whose configuration is not ours, and says whether that began or
// ended with this.
func (s *Stats) differs(members int, who []string, now time.Time) (began, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.membership
	began, over = len(who) > 0 && len(m.Differing) == 0, len(who) == 0 && len(m.Differing) > 0
	m.Members, m.Differing = members, who
	switch {
	case began:
		m.DifferingSince = now
	case over:
		m.DifferingSince = time.Time{}
	}
	return began, over
}

// hold notes that a lane is ours.
func (s *Stats) hold(lane int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = make(map[int32]bool)
	}
	s.held[lane] = false
}

// began notes that the streams of a lane are known now.
func (s *Stats) began(lane int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ours := s.held[lane]; ours {
		s.held[lane] = true
	}
}

// letGo forgets what concerned a lane only as long as it was ours. What was
// counted stays counted.
func (s *Stats) letGo(lane int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, lane)
	delete(s.troubles, lane)
	delete(s.waiting, lane)
	for _, st := range s.streams {
		st.letGo(lane)
	}
}

// lives notes that this process carries events, or stands by to.
func (s *Stats) lives(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alive.IsZero() {
		s.alive = now
	}
}

// seasoned says whether the process has lived long enough that a lane which begins
// now is not part of its start.
func (s *Stats) seasoned(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.alive.IsZero() && now.Sub(s.alive) >= settled
}
