package orgsim

import (
	"slices"
	"strings"
)

// insert adds a record to the store and to the index that is in order of id. The
// ids of an org rise, so it is an append but for records that came from elsewhere.
func (ob *object) insert(r *record) {
	ob.records[r.id] = r
	if n := len(ob.index); n == 0 || ob.index[n-1].id < r.id {
		ob.index = append(ob.index, r)
		return
	}
	ob.index = slices.Insert(ob.index, ob.from(r.id), r)
}

// drop takes a record out of both.
func (ob *object) drop(r *record) {
	if ob.records[r.id] != r {
		return
	}
	delete(ob.records, r.id)
	i := ob.from(r.id)
	ob.index = slices.Delete(ob.index, i, i+1)
}

// from is the place in the index of the first record whose id is not below id.
func (ob *object) from(id string) int { return placeOf(ob.index, id) }

// placeOf is where an id is or would be among rows in order of id.
func placeOf(rows []*record, id string) int {
	i, _ := slices.BinarySearchFunc(rows, id, func(r *record, id string) int { return strings.Compare(r.id, id) })
	return i
}

// EmptyBin deletes for good what was deleted before, all of it or the records with
// the given ids: no query and no list of deletions shows it again. It returns how
// many records that were.
func (o *Org) EmptyBin(object string, ids ...string) (int, error) {
	o.tick()
	o.mu.Lock()
	defer o.mu.Unlock()
	ob := o.objects[object]
	if ob == nil || ob.def.IsEvent() {
		return 0, errNoObject(object)
	}
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[ID18(id)] = true
	}
	kept := make([]*record, 0, len(ob.index))
	for _, r := range ob.index {
		if !r.deleted || len(ids) > 0 && !wanted[r.id] {
			kept = append(kept, r)
			continue
		}
		delete(ob.records, r.id)
		ob.purged = max(ob.purged, r.modstamp)
	}
	n := len(ob.index) - len(kept)
	ob.index = kept
	return n, nil
}
