package fold

import (
	"iter"
	"slices"
)

// IDSet is a set of record ids, in 15 or 18 characters. The zero value is empty and
// ready. It takes 16 bytes an id if they come in their order, which they are made in,
// and some 23 if they do not: a map takes up to 38.
type IDSet struct {
	// blocks are not empty, and everything in one comes before what is in the next.
	blocks [][]entry
	n      int
}

// entry is an id and the time of its record's last row, in seconds since 1970; 0 for
// none.
type entry struct {
	id id
	at uint32
}

// blockSize is how many entries are moved at most to make room for one.
const blockSize = 512

// find is where an id is, or where it would be put.
func (s *IDSet) find(d id) (block, at int, ok bool) {
	byFirst := func(b []entry, d id) int { return b[0].id.compare(d) }
	block, ok = slices.BinarySearchFunc(s.blocks, d, byFirst)
	if ok {
		return block, 0, true
	}
	if block = max(block-1, 0); len(s.blocks) == 0 {
		return 0, 0, false
	}
	at, ok = slices.BinarySearchFunc(s.blocks[block], d, func(e entry, d id) int { return e.id.compare(d) })
	return block, at, ok
}

// time is that of an id's last row.
func (s *IDSet) time(d id) (at uint32, ok bool) {
	block, i, ok := s.find(d)
	if !ok {
		return 0, false
	}
	return s.blocks[block][i].at, true
}

// put adds an id, or gives it another time.
func (s *IDSet) put(d id, at uint32) {
	block, i, ok := s.find(d)
	if ok {
		s.blocks[block][i].at = at
		return
	}
	s.n++
	e := entry{d, at}
	switch {
	case len(s.blocks) == 0:
		s.blocks = append(s.blocks, newBlock(e))
	case len(s.blocks[block]) < blockSize:
		s.blocks[block] = slices.Insert(s.blocks[block], i, e)
	case i == blockSize: // ids that come in order fill their blocks
		s.blocks = slices.Insert(s.blocks, block+1, newBlock(e))
	default:
		full := s.blocks[block]
		s.blocks = slices.Insert(s.blocks, block+1, newBlock(full[blockSize/2:]...))
		s.blocks[block] = full[:blockSize/2]
		s.put(d, at)
		s.n--
	}
}

// newBlock has room for all that a block may hold.
func newBlock(entries ...entry) []entry {
	return append(make([]entry, 0, blockSize), entries...)
}

func (s *IDSet) remove(d id) {
	block, i, ok := s.find(d)
	if !ok {
		return
	}
	s.n--
	if s.blocks[block] = slices.Delete(s.blocks[block], i, i+1); len(s.blocks[block]) == 0 {
		s.blocks = slices.Delete(s.blocks, block, block+1)
	}
}

// Add puts an id into the set. It is false for a text that is no record id.
func (s *IDSet) Add(text string) bool {
	d, ok := packID(text)
	if ok && !s.has(d) {
		s.put(d, 0)
	}
	return ok
}

// Remove takes an id out of the set.
func (s *IDSet) Remove(text string) {
	if d, ok := packID(text); ok {
		s.remove(d)
	}
}

// Has says whether an id is in the set.
func (s *IDSet) Has(text string) bool {
	d, ok := packID(text)
	return ok && s.has(d)
}

func (s *IDSet) has(d id) bool {
	_, ok := s.time(d)
	return ok
}

// Len is how many ids there are.
func (s *IDSet) Len() int { return s.n }

// All yields the ids, with 18 characters, in the order of bytes of 15.
func (s *IDSet) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, block := range s.blocks {
			for _, e := range block {
				if !yield(e.id.String()) {
					return
				}
			}
		}
	}
}
