package orgsim

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// record is one row of an object.
type record struct {
	id       string
	vals     []any // by field index; may be shorter than the object's fields
	deleted  bool
	modstamp int64 // epoch ms, whole seconds as SystemModstamp has
	pos      int   // place in object.live
}

func (r *record) val(i int) any {
	if i < len(r.vals) {
		return r.vals[i]
	}
	return nil
}

func (ob *object) addLive(r *record) {
	r.pos = len(ob.live)
	ob.live = append(ob.live, r)
}

func (ob *object) removeLive(r *record) {
	last := len(ob.live) - 1
	ob.live[r.pos] = ob.live[last]
	ob.live[r.pos].pos = r.pos
	ob.live[last] = nil
	ob.live = ob.live[:last]
}

// TxOptions say who makes a transaction.
type TxOptions struct {
	User   string // username; "": the org's first user
	Origin string // changeOrigin of its change events, such as "com/salesforce/api/rest/66.0;client=Importer"
}

// Tx is one transaction of the org: its events share a transaction key and are
// numbered from 1. Changes to one record become one event with the first
// change's type and the last values; neighbouring records that got the same
// change share a merged event. A Tx is used by its function only.
type Tx struct {
	o      *Org
	user   *user
	origin string
	staged []*staged
	byRec  map[*record]*staged
}

// staged is one record that a transaction touches, or one platform event.
type staged struct {
	ob         *object
	rec        *record
	before     []any
	existed    bool
	wasDeleted bool
	modstamp   int64
	quiet      bool           // only the system touched it: no event
	diffs      map[int]string // field index: what to send in place of a text
	event      []any          // platform event
	uuid       string
}

// Transact runs fn as one transaction. An error of fn undoes everything and is
// returned as it is.
func (o *Org) Transact(opts TxOptions, fn func(*Tx) error) error {
	o.tick()
	o.mu.Lock()
	defer o.mu.Unlock()
	u, err := o.userNamed(opts.User)
	if err != nil {
		return err
	}
	tx := &Tx{o: o, user: u, origin: opts.Origin}
	if err := fn(tx); err != nil {
		tx.undo()
		return err
	}
	tx.commit()
	return nil
}

func (tx *Tx) undo() {
	for _, s := range slices.Backward(tx.staged) {
		if s.rec == nil {
			continue
		}
		if !s.existed {
			s.ob.drop(s.rec)
			continue
		}
		s.rec.vals, s.rec.deleted, s.rec.modstamp = s.before, s.wasDeleted, s.modstamp
	}
}

// stage remembers the record's state before its first change in this transaction.
func (tx *Tx) stage(ob *object, r *record) *staged {
	if s := tx.byRec[r]; s != nil {
		return s
	}
	s := &staged{ob: ob, rec: r, existed: true, wasDeleted: r.deleted, before: r.vals, modstamp: r.modstamp}
	r.vals = make([]any, len(ob.fields))
	copy(r.vals, s.before)
	tx.add(s)
	return s
}

// change stages a record that somebody changes.
func (tx *Tx) change(ob *object, r *record) { tx.stage(ob, r).quiet = false }

func (tx *Tx) add(s *staged) {
	tx.staged = append(tx.staged, s)
	if tx.byRec == nil {
		tx.byRec = map[*record]*staged{}
	}
	tx.byRec[s.rec] = s
}

func (tx *Tx) object(name string, event bool) (*object, error) {
	ob := tx.o.objects[name]
	if ob == nil || ob.def.IsEvent() != event {
		return nil, errNoObject(name)
	}
	return ob, nil
}

func (tx *Tx) live(object, id string) (*object, *record, error) {
	ob, err := tx.object(object, false)
	if err != nil {
		return nil, nil, err
	}
	r := ob.records[ID18(id)]
	switch {
	case r == nil:
		return nil, nil, errNotFound()
	case r.deleted:
		return nil, nil, &RequestError{Status: 404, Code: "ENTITY_IS_DELETED", Message: "entity is deleted"}
	}
	return ob, r, nil
}

// Create makes a record and returns its 18-character id.
func (tx *Tx) Create(object string, fields Fields) (string, error) {
	ob, err := tx.object(object, false)
	if err != nil {
		return "", err
	}
	r := &record{vals: make([]any, len(ob.fields))}
	if err := ob.set(r, fields); err != nil {
		return "", err
	}
	now := tx.o.commitTime() / 1000 * 1000
	if err := ob.defaults(r, tx.user.id, now); err != nil {
		return "", err
	}
	r.id = tx.o.ids.id18(ob.prefix)
	r.modstamp = now
	ob.insert(r)
	tx.add(&staged{ob: ob, rec: r})
	return r.id, nil
}

// Update changes fields of a record; nil clears one.
func (tx *Tx) Update(object, id string, fields Fields) error {
	ob, r, err := tx.live(object, id)
	if err != nil {
		return err
	}
	s := tx.stage(ob, r)
	before, stamp, quiet := slices.Clone(r.vals), r.modstamp, s.quiet
	s.quiet = false
	if err = ob.set(r, fields); err == nil {
		err = tx.touch(ob, r)
	}
	if err != nil {
		// The caller may go on with its transaction: nothing of this change stays.
		r.vals, r.modstamp, s.quiet = before, stamp, quiet
	}
	return err
}

func (tx *Tx) touch(ob *object, r *record) error {
	now := tx.o.commitTime() / 1000 * 1000
	r.vals[ob.sys.modified] = now
	r.vals[ob.sys.modifiedBy] = tx.user.id
	r.modstamp = now
	return ob.required(r)
}

// Touch does what the system itself does to a record, by a recalculation say:
// SystemModstamp moves, LastModifiedDate does not, and there is no event.
func (tx *Tx) Touch(object, id string) error {
	ob, r, err := tx.live(object, id)
	if err != nil {
		return err
	}
	if tx.byRec[r] == nil {
		tx.stage(ob, r).quiet = true
	}
	r.modstamp = tx.o.commitTime() / 1000 * 1000
	return nil
}

// Delete moves a record to the recycle bin.
func (tx *Tx) Delete(object, id string) error {
	ob, r, err := tx.live(object, id)
	if err != nil {
		return err
	}
	tx.change(ob, r)
	r.deleted = true
	r.modstamp = tx.o.commitTime() / 1000 * 1000
	return nil
}

// Undelete brings a deleted record back.
func (tx *Tx) Undelete(object, id string) error {
	ob, err := tx.object(object, false)
	if err != nil {
		return err
	}
	r := ob.records[ID18(id)]
	if r == nil {
		return errNotFound()
	}
	if !r.deleted {
		return &RequestError{Status: 400, Code: "UNDELETE_FAILED", Message: "Entity is not in the recycle bin"}
	}
	tx.change(ob, r)
	r.deleted = false
	return tx.touch(ob, r)
}

// Publish publishes a platform event and returns its EventUuid.
func (tx *Tx) Publish(event string, fields Fields) (string, error) {
	ob, err := tx.object(event, true)
	if err != nil {
		return "", err
	}
	r := &record{vals: make([]any, len(ob.fields))}
	if err := ob.set(r, fields); err != nil {
		return "", err
	}
	if err := ob.required(r); err != nil {
		return "", err
	}
	r.vals[ob.sys.created] = tx.o.commitTime()
	r.vals[ob.sys.createdBy] = tx.user.id
	uuid := randomUUID(tx.o.keyRand)
	tx.staged = append(tx.staged, &staged{ob: ob, event: r.vals, uuid: uuid})
	return uuid, nil
}

// set lays the given values over the record. Unless all are whole fields that
// fit, names are taken in sorted order, so that neither the first error nor a
// compound field given twice depends on map order.
func (ob *object) set(r *record, fields Fields) error {
	plain := true
	for name, v := range fields {
		c, ok := ob.columns[name]
		if plain = ok && c.part < 0 && ob.setColumn(r, c, v) == nil; !plain {
			break
		}
	}
	if plain {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name == "attributes" {
			continue
		}
		c, ok := ob.columns[name]
		if !ok && ob.derivedNamed(name) != nil {
			return errNotWritable(name)
		}
		if !ok {
			return &RequestError{Status: 400, Code: "INVALID_FIELD", Fields: []string{name},
				Message: fmt.Sprintf("No such column '%s' on sobject of type %s", name, ob.def.Name)}
		}
		if err := ob.setColumn(r, c, fields[name]); err != nil {
			return err
		}
	}
	return nil
}

func (ob *object) setColumn(r *record, c column, v any) error {
	f := ob.fields[c.field]
	if f.system && f.Name != "OwnerId" || f.Type == AutoNumber {
		return errNotWritable(f.Name)
	}
	old, _ := r.vals[c.field].([]any)
	var next any
	var err error
	switch {
	case c.part >= 0:
		next, err = f.coerceParts(old, Fields{f.parts[c.part].name: v})
	case v != nil && old != nil && f.parts != nil && !isText(v):
		next, err = f.coerceParts(old, v)
	default:
		next, err = f.coerce(v)
	}
	if err != nil {
		return err
	}
	r.vals[c.field] = next
	return nil
}

func errNotWritable(field string) *RequestError {
	return &RequestError{Status: 400, Code: "INVALID_FIELD_FOR_INSERT_UPDATE", Fields: []string{field},
		Message: fmt.Sprintf("Unable to create/update fields: %s. Please check the security settings of this field and verify that it is read/write for your profile or permission set.", field)}
}

func isText(v any) bool { _, ok := v.(string); return ok }

// defaults fills in what the org itself sets on a new record.
func (ob *object) defaults(r *record, user string, now int64) error {
	if r.vals[ob.sys.owner] == nil {
		r.vals[ob.sys.owner] = user
	}
	r.vals[ob.sys.created], r.vals[ob.sys.createdBy] = now, user
	r.vals[ob.sys.modified], r.vals[ob.sys.modifiedBy] = now, user
	for i, f := range ob.fields {
		switch {
		case f.Type == Checkbox && r.vals[i] == nil:
			r.vals[i] = false
		case f.Type == AutoNumber:
			ob.autonum++
			r.vals[i] = fmt.Sprintf("%s%06d", f.Format, ob.autonum)
		}
	}
	return ob.required(r)
}

func (ob *object) required(r *record) error {
	for i, f := range ob.fields {
		v, name := r.vals[i], f.Name
		if f.Type == PersonName {
			// What a person needs is the last name.
			name = "LastName"
			if parts, ok := v.([]any); ok {
				v = parts[slices.IndexFunc(f.parts, func(p part) bool { return p.name == name })]
			}
		}
		if !f.Required || v != nil {
			continue
		}
		return &RequestError{Status: 400, Code: "REQUIRED_FIELD_MISSING", Fields: []string{name},
			Message: fmt.Sprintf("Required fields are missing: [%s]", name)}
	}
	return nil
}

// commitTime is the time of the transaction under way in epoch ms; it never
// goes back.
func (o *Org) commitTime() int64 {
	o.lastCommit = max(o.lastCommit, o.now().UnixMilli())
	return o.lastCommit
}

// Create makes a record in its own transaction and returns its id.
func (o *Org) Create(object string, fields Fields) (id string, err error) {
	err = o.Transact(TxOptions{}, func(tx *Tx) error {
		id, err = tx.Create(object, fields)
		return err
	})
	return id, err
}

// Update changes fields of a record in its own transaction; nil clears one.
func (o *Org) Update(object, id string, fields Fields) error {
	return o.Transact(TxOptions{}, func(tx *Tx) error { return tx.Update(object, id, fields) })
}

// UpdateAll makes the same change to several records in one transaction, which
// gives one merged event when it changes all of them alike.
func (o *Org) UpdateAll(object string, ids []string, fields Fields) error {
	return o.Transact(TxOptions{}, func(tx *Tx) error {
		for _, id := range ids {
			if err := tx.Update(object, id, fields); err != nil {
				return err
			}
		}
		return nil
	})
}

// Touch moves the SystemModstamp of records in a transaction of their own, as the
// system does; there is no event.
func (o *Org) Touch(object string, ids ...string) error {
	return o.Transact(TxOptions{}, func(tx *Tx) error {
		for _, id := range ids {
			if err := tx.Touch(object, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// Delete deletes a record in its own transaction.
func (o *Org) Delete(object, id string) error {
	return o.Transact(TxOptions{}, func(tx *Tx) error { return tx.Delete(object, id) })
}

// Undelete brings a record back in its own transaction.
func (o *Org) Undelete(object, id string) error {
	return o.Transact(TxOptions{}, func(tx *Tx) error { return tx.Undelete(object, id) })
}

// Publish publishes a platform event in its own transaction and returns its UUID.
func (o *Org) Publish(event string, fields Fields) (uuid string, err error) {
	err = o.Transact(TxOptions{}, func(tx *Tx) error {
		uuid, err = tx.Publish(event, fields)
		return err
	})
	return uuid, err
}

// Row is a record as the org holds it.
type Row struct {
	ID             string
	Deleted        bool
	SystemModstamp time.Time      // whole seconds
	Fields         map[string]any // REST's shapes: compound fields also flat
}

// Rows returns all records of an object, deleted ones too, in order of id: the
// table that a consumer's folded state is compared with.
func (o *Org) Rows(object string) ([]Row, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ob := o.objects[object]
	if ob == nil || ob.def.IsEvent() {
		return nil, errNoObject(object)
	}
	rows := make([]Row, 0, len(ob.records))
	for _, r := range ob.index {
		rows = append(rows, Row{ID: r.id, Deleted: r.deleted, SystemModstamp: time.UnixMilli(r.modstamp).UTC(), Fields: ob.restFields(r)})
	}
	return rows, nil
}
