package orgsim

import (
	"cmp"
	"slices"
	"strings"
)

// idKind is the type of a record's own id.
const idKind Kind = "id"

// table is what one user can query of one object.
type table struct {
	name    string
	def     Object
	columns []*soqlColumn // as describe lists them
	byName  map[string]*soqlColumn
	rows    []*record // in order of id
	find    func(id string) *record
}

// soqlColumn is one column of a table.
type soqlColumn struct {
	name   string
	kind   Kind
	field  *field // nil: the id and what the system keeps
	part   int    // of a compound field; -1: the whole
	parent *field // the compound field that it is a part of
	get    func(r *record) any
}

// relation is the name by which a lookup's record is reached: Account for
// AccountId, Region__r for Region__c, Owner for OwnerId.
func relation(name string) string {
	if base, ok := strings.CutSuffix(name, "__c"); ok {
		return base + "__r"
	}
	return strings.TrimSuffix(name, "Id")
}

// compound says that the column is an object of others in REST and cannot be
// filtered, sorted or read by Bulk API.
func (c *soqlColumn) compound() bool {
	return c.part < 0 && (c.kind == Address || c.kind == Geolocation)
}

func (c *soqlColumn) filterable() bool {
	return c.kind != LongText && c.kind != Base64 && !c.compound()
}

func (c *soqlColumn) sortable() bool { return c.filterable() && c.kind != MultiPicklist }

// catalogue has the tables of one query, made when they are first needed. It is
// used under Org.mu.
type catalogue struct {
	o       *Org
	user    *user
	version string // of the API that asks
	tables  map[string]*table
}

func (o *Org) catalogue(u *user) *catalogue {
	return &catalogue{o: o, user: u, tables: map[string]*table{}}
}

// table is the table of an object, whatever the case of its name; nil if the user
// has none of that name.
func (c *catalogue) table(name string) *table {
	key := strings.ToLower(name)
	if t, ok := c.tables[key]; ok {
		return t
	}
	t := c.virtual(key)
	for _, ob := range c.o.order {
		if strings.EqualFold(ob.def.Name, name) && !ob.def.IsEvent() && !c.user.denied[ob.def.Name] {
			t = c.of(ob)
		}
	}
	c.tables[key] = t
	return t
}

// of is the table of an object of the store, less what the user may not read.
func (c *catalogue) of(ob *object) *table {
	t := &table{name: ob.def.Name, def: ob.def, byName: map[string]*soqlColumn{}, rows: ob.index}
	t.find = func(id string) *record { return ob.records[id] }
	t.add(&soqlColumn{name: "Id", kind: idKind, part: -1, get: func(r *record) any { return r.id }})
	t.add(&soqlColumn{name: "IsDeleted", kind: Checkbox, part: -1, get: func(r *record) any { return r.deleted }})
	for i, f := range ob.fields {
		if c.user.hidden(ob, f) {
			continue
		}
		t.add(fieldColumn(i, f))
		for j, p := range f.parts {
			t.add(partColumn(i, j, f, p))
		}
		if i == ob.sys.modifiedBy {
			t.add(&soqlColumn{name: "SystemModstamp", kind: DateTime, part: -1, get: func(r *record) any { return r.modstamp }})
		}
	}
	for _, f := range ob.derived {
		if !c.user.hidden(ob, f) {
			t.add(&soqlColumn{name: f.Name, kind: f.Type, field: f, part: -1, get: c.derive(t, ob, f)})
		}
	}
	return t
}

func (t *table) add(c *soqlColumn) {
	t.columns = append(t.columns, c)
	t.byName[strings.ToLower(c.name)] = c
}

// hidden reports whether field-level security keeps a field from the user.
func (u *user) hidden(ob *object, f *field) bool {
	return slices.Contains(u.DeniedFields, ob.def.Name+"."+f.Name)
}

func fieldColumn(i int, f *field) *soqlColumn {
	c := &soqlColumn{name: f.Name, kind: f.Type, field: f, part: -1, get: func(r *record) any { return r.val(i) }}
	if f.Type == PersonName || f.Type == AccountName {
		c.kind = Text
		c.get = func(r *record) any {
			if parts, ok := r.val(i).([]any); ok {
				return fullName(parts)
			}
			return r.val(i)
		}
	}
	return c
}

func partColumn(i, j int, f *field, p part) *soqlColumn {
	c := &soqlColumn{name: f.flat(p), kind: Text, field: f, part: j, parent: f}
	if p.number {
		c.kind = Number
	}
	c.get = func(r *record) any {
		if parts, ok := r.val(i).([]any); ok && j < len(parts) {
			return parts[j]
		}
		return nil
	}
	return c
}

// virtual is a table that is not of the store; key is in lower case.
func (c *catalogue) virtual(key string) *table {
	switch key {
	case "organization":
		row := c.o.organizationRow()
		return rowTable("Organization", sortedKeys(row), []map[string]any{row})
	case "user":
		var rows []map[string]any
		for _, u := range c.o.users {
			rows = append(rows, map[string]any{"Id": u.id, "Name": u.Name, "Username": u.Username, "Email": u.Email, "IsActive": !u.Inactive})
		}
		return rowTable("User", []string{"Id", "Name", "Username", "Email", "IsActive"}, rows)
	case "pushtopic":
		if !c.user.denied["PushTopic"] {
			return rowTable("PushTopic", []string{"Id", "Name", "Query", "ApiVersion", "IsActive", "Description", "NotifyForFields",
				"NotifyForOperationCreate", "NotifyForOperationUpdate", "NotifyForOperationDelete", "NotifyForOperationUndelete"}, c.o.streamingRows("PushTopic", c.version))
		}
	case "streamingchannel":
		if !c.user.denied["StreamingChannel"] {
			return rowTable("StreamingChannel", []string{"Id", "Name", "Description", "IsDynamic"}, c.o.streamingRows("StreamingChannel", c.version))
		}
	}
	return nil
}

// rowTable is a table of a few rows that are not in the store. A column's type is
// that of its values.
func rowTable(name string, columns []string, rows []map[string]any) *table {
	t := &table{name: name, def: Object{Name: name}, byName: map[string]*soqlColumn{}}
	kinds := make([]Kind, len(columns))
	for i, col := range columns {
		kinds[i] = Text
		for _, row := range rows {
			switch row[col].(type) {
			case bool:
				kinds[i] = Checkbox
			case float64:
				kinds[i] = Number
			}
		}
		if col == "Id" {
			kinds[i] = idKind
		}
		t.add(&soqlColumn{name: col, kind: kinds[i], part: -1, get: func(r *record) any { return r.val(i) }})
	}
	for _, row := range rows {
		r := &record{}
		r.id, _ = row["Id"].(string)
		for _, col := range columns {
			v := row[col]
			if v == "" {
				v = nil
			}
			r.vals = append(r.vals, v)
		}
		t.rows = append(t.rows, r)
	}
	slices.SortFunc(t.rows, func(a, b *record) int { return cmp.Compare(a.id, b.id) })
	t.find = func(id string) *record {
		if i := placeOf(t.rows, id); i < len(t.rows) && t.rows[i].id == id {
			return t.rows[i]
		}
		return nil
	}
	return t
}

// hop is a step from a record to the one that a lookup of it names.
type hop struct {
	name string // of the relation, as describe spells it
	from *soqlColumn
	to   *table
}

// hop finds a relation by its name, in whatever case.
func (c *catalogue) hop(t *table, name string) (hop, bool) {
	for _, col := range t.columns {
		if col.kind != Lookup || !strings.EqualFold(relation(col.name), name) {
			continue
		}
		to := c.table(col.field.ReferenceTo)
		return hop{relation(col.name), col, to}, to != nil
	}
	return hop{}, false
}

// follow is the record at the other end; nil if there is none, or none that lives.
func (h hop) follow(r *record) *record {
	id, _ := h.from.get(r).(string)
	if id == "" {
		return nil
	}
	to := h.to.find(ID18(id))
	if to == nil || to.deleted {
		return nil
	}
	return to
}

// derive is how a formula or a binary field gets its value.
func (c *catalogue) derive(t *table, ob *object, f *field) func(r *record) any {
	if f.Type == Base64 {
		return func(r *record) any { return "/sobjects/" + ob.def.Name + "/" + r.id + "/" + f.Name }
	}
	value, err := c.formula(t, f)
	if err != nil {
		return func(*record) any { return nil }
	}
	return value
}
