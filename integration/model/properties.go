package model

import "fmt"

// decided says whether an entry is visible or will be: the commit of its
// transaction is in the coordinator's log, which no crash undoes. The markers
// reach the partitions one by one, so that a reader of two of them may see the
// one before the other.
func (s *state) decided(e entry) bool {
	return e.open != yes || s.ids[e.id].status == prepareCommit
}

// broken names the property that does not hold in a state, or nothing.
func (s *state) broken(p Protocol) string {
	var there [maxEntries + 1]bool
	newest, repeats := uint8(0), 0
	for _, e := range s.records.entries() {
		if !s.decided(e) {
			continue
		}
		if p.Delivery == ExactlyOnce {
			switch {
			case e.open == yes && e.epoch < s.read:
				return fmt.Sprintf("I7: event %d of an older owner becomes visible after a newer one has read its positions", e.value)
			case there[e.value]:
				return fmt.Sprintf("exactly once: event %d is there twice", e.value)
			}
		}
		// The repeats apart, events come in order and without holes.
		if e.value > newest+1 {
			return fmt.Sprintf("I3: event %d comes before event %d", e.value, newest+1)
		}
		if there[e.value] {
			repeats++
		}
		there[e.value] = true
		newest = max(newest, e.value)
	}
	if most := p.Batch * (p.Moves - int(s.moves) + p.Troubles - int(s.troubles)); p.Bounded && repeats > most {
		return fmt.Sprintf("bounded: %d repeats, where what was not confirmed were %d events at most", repeats, most)
	}
	return s.brokenPositions(p, newest)
}

// brokenPositions judges the positions against the newest event that is there.
func (s *state) brokenPositions(p Protocol, newest uint8) string {
	last := uint8(0)
	for _, e := range s.positions.entries() {
		if e.value == barrier || !s.decided(e) {
			continue
		}
		if e.value > newest {
			return fmt.Sprintf("I2: position %d is durable, event %d is not", e.value, newest+1)
		}
		if e.value < last && (p.Delivery == ExactlyOnce || p.Bounded) {
			return fmt.Sprintf("the position goes back: from %d to %d", last, e.value)
		}
		last = e.value
	}
	return ""
}

// delivered says whether a reader has everything. The last position may be
// missing where a commit is not one unit: the next owner repeats what it stands
// for.
func (s *state) delivered(p Protocol) bool {
	newest := uint8(0)
	for _, e := range s.records.entries() {
		if e.open == yes {
			return false
		}
		newest = max(newest, e.value)
	}
	position := uint8(0)
	for _, e := range s.positions.entries() {
		if e.open != yes && e.value != barrier {
			position = e.value
		}
	}
	return int(newest) == p.Events && (p.Delivery == AtLeastOnce || int(position) == p.Events)
}
