package snapshot

import (
	"fmt"
	"slices"
	"time"

	"github.com/sfbridge/bridge/integration/orgsim"
)

// field of an object, by number.
func fieldOf(object string, n int) string {
	if object == "Account" {
		return []string{"Name", "Site", "Sic"}[n]
	}
	return []string{"Site__c", "Sic__c", "Site__c"}[n]
}

// value is a new one, greater than all before.
func (h *history) value() string {
	h.version++
	return fmt.Sprintf("v%07d", h.version)
}

func (h *history) object() string { return historyObjects()[h.rnd.IntN(2)] }

// done panics: nothing that a history does is refused by the org.
func done(err error) {
	if err != nil {
		panic(err)
	}
}

func (h *history) create() {
	object := h.object()
	fields := orgsim.Fields{fieldOf(object, 0): h.value()}
	if h.rnd.IntN(2) == 0 {
		fields[fieldOf(object, 1)] = h.value()
	}
	id, err := h.org.Create(object, fields)
	done(err)
	h.ids[object] = append(h.ids[object], id)
}

// step is one thing that happens in the org.
func (h *history) step() {
	object := h.object()
	if len(h.ids[object]) == 0 {
		h.create()
		return
	}
	switch n := h.rnd.IntN(20); {
	case n < 3:
		h.create()
	case n < 12:
		h.update(object)
	case n < 14:
		h.hurry(object)
	case n < 16:
		h.alike(object)
	case n < 18:
		h.remove(object)
	default:
		h.bringBack(object)
	}
}

// one is some living record; a few are changed more often than others.
func (h *history) one(object string) string {
	ids := h.ids[object]
	if h.rnd.IntN(3) == 0 {
		return ids[h.rnd.IntN(min(3, len(ids)))]
	}
	return ids[h.rnd.IntN(len(ids))]
}

func (h *history) update(object string) {
	fields := orgsim.Fields{fieldOf(object, h.rnd.IntN(2)): h.value()}
	if h.rnd.IntN(6) == 0 {
		fields[fieldOf(object, 1+h.rnd.IntN(2)%2)] = nil
		if object == "Account" {
			fields["Name"] = h.value()
		}
	}
	done(h.org.Update(object, h.one(object), fields))
}

// hurry changes one record more than once within a second.
func (h *history) hurry(object string) {
	id := h.one(object)
	for range 2 + h.rnd.IntN(3) {
		done(h.org.Update(object, id, orgsim.Fields{fieldOf(object, h.rnd.IntN(2)): h.value()}))
		time.Sleep(time.Duration(h.rnd.IntN(300)) * time.Millisecond) //nolint:forbidigo // virtual time
		if h.bus != nil {
			h.bus.pull()
		}
	}
}

// fidget changes the oldest record of each object.
func (h *history) fidget() {
	for _, object := range historyObjects() {
		if len(h.ids[object]) > 0 {
			done(h.org.Update(object, h.ids[object][0], orgsim.Fields{fieldOf(object, 1): h.value()}))
		}
	}
	h.bus.pull()
}

// alike makes the same change to several records, which gives one event.
func (h *history) alike(object string) {
	var ids []string
	for range 1 + h.rnd.IntN(4) {
		if id := h.one(object); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	done(h.org.UpdateAll(object, ids, orgsim.Fields{fieldOf(object, h.rnd.IntN(2)): h.value()}))
}

func (h *history) remove(object string) {
	id := h.one(object)
	done(h.org.Delete(object, id))
	h.ids[object] = slices.DeleteFunc(h.ids[object], func(other string) bool { return other == id })
	h.gone[object] = append(h.gone[object], id)
	if h.rnd.IntN(5) == 0 {
		_, err := h.org.EmptyBin(object, id)
		done(err)
		h.gone[object] = slices.DeleteFunc(h.gone[object], func(other string) bool { return other == id })
	}
}

func (h *history) bringBack(object string) {
	if len(h.gone[object]) == 0 {
		h.update(object)
		return
	}
	i := h.rnd.IntN(len(h.gone[object]))
	id := h.gone[object][i]
	done(h.org.Undelete(object, id))
	h.gone[object] = slices.Delete(h.gone[object], i, i+1)
	h.ids[object] = append(h.ids[object], id)
}
