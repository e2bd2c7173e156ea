package transform

// snapshotRow is the change type of a record that was read as a row.
const snapshotRow = "SNAPSHOT"

// isOfNone reports whether a transaction key, in slot at, names none: rows and what is
// known of deletions without their events. Such a change has no place among others.
func (s *scan) isOfNone(at int) bool {
	sl := &s.slots[at]
	return sl.kind == kindText && sl.start == sl.end
}

// closeCompounds makes null what a row has of a compound field without a value. A row
// is made of the columns of the parts, each null by itself, where an event of the same
// record lacks the field.
func (s *scan) closeCompounds() {
	if s.header == nil || !s.changeIs(snapshotRow) {
		return
	}
	for i := range s.root.fields {
		if s.slots[i].kind != kindObject || i == s.header.field {
			continue
		}
		f := &s.root.fields[i]
		if !hasValue(s.slots[f.sub : f.sub+f.typ.object.rec.slots]) {
			s.slots[i].kind = kindNull
		}
	}
}

func hasValue(slots []slot) bool {
	for i := range slots {
		if k := slots[i].kind; k != kindAbsent && k != kindNull && k != kindObject {
			return true
		}
	}
	return false
}
