package salesforce

import (
	"slices"
	"strings"
)

const (
	fieldID       = "Id"
	fieldModstamp = "SystemModstamp"
	fieldDeleted  = "IsDeleted"
)

// Form says which columns of an object are read, and how a row of them becomes the
// JSON that a change event of the same values has: names of compounds with their
// parts within, datetimes that end in Z, texts and numbers as they came.
//
// Compounds are read by their parts, since Bulk API has no others, and so both
// readers give the same bytes, except that a number may be written in another way
// (1.0E7 for 10000000.0). A Form does not change; any number of readers may share it.
type Form struct {
	object  string
	columns []column
	byName  map[string]int
	members []member
	left    []LeftField
	nulls   bool

	modstamp, deleted int // columns, -1 if the object lacks them
}

// FormConfig is what a Form is made of.
type FormConfig struct {
	// Describe is the object's description. Required.
	Describe *Describe
	// Fields are the names that the object's events have, as their schema gives them:
	// compounds by their own name. Nil: all described fields of the types that events
	// have, formulas excepted; the events of an object may have fewer.
	Fields []string
	// Nulls writes fields without a value as null, as an event has one that was
	// cleared. Without it they are left out, as in the event of a new record.
	Nulls bool
}

// LeftField is a field that rows do not have, and why.
type LeftField struct{ Name, Why string }

// column is one name of the SELECT.
type column struct {
	name string
	kind cellKind
}

// member is one name of the row's JSON.
type member struct {
	name  string
	plain int // the column of a value without parts, -1 for none
	parts []part
}

type part struct {
	name   string
	column int
}

// NewForm plans the reading of an object. Fields that rows cannot have are not an
// error, since the caller knows what that means: see Left.
func NewForm(config FormConfig) (*Form, error) {
	d := config.Describe
	if d == nil || !isObjectName(d.Name) {
		return nil, &ConfigError{Field: "FormConfig.Describe", Problem: "is missing or names no object", Try: "give what Client.Describe returned"}
	}
	f := &Form{object: d.Name, byName: map[string]int{}, nulls: config.Nulls, modstamp: -1, deleted: -1}
	fields := map[string]Field{}
	for _, field := range d.Fields {
		fields[field.Name] = field
	}
	if _, ok := fields[fieldID]; !ok {
		return nil, &ConfigError{Field: "FormConfig.Describe", Problem: "of " + d.Name + " has no field Id", Try: "an object with ids: rows are told apart by them"}
	}
	f.add(fields[fieldID])
	if field, ok := fields[fieldModstamp]; ok {
		f.modstamp = f.add(field)
	}
	if field, ok := fields[fieldDeleted]; ok {
		f.deleted = f.add(field)
	}
	if config.Fields == nil {
		f.addAll(d, fields)
		return f, nil
	}
	for i, name := range config.Fields {
		if slices.Contains(config.Fields[:i], name) {
			return nil, &ConfigError{Field: "FormConfig.Fields", Problem: "names " + quote(name) + " twice", Try: "each name once"}
		}
		f.addMember(name, d, fields)
	}
	return f, nil
}

// Object is the object's API name.
func (f *Form) Object() string { return f.object }

// Columns are the names that a query of the form selects.
func (f *Form) Columns() []string {
	names := make([]string, len(f.columns))
	for i, c := range f.columns {
		names[i] = c.name
	}
	return names
}

// Left lists the fields that rows do not have.
func (f *Form) Left() []LeftField { return slices.Clone(f.left) }

// addAll takes what change events have: neither formulas, nor what stands in
// their header, nor a part beside its compound.
func (f *Form) addAll(d *Describe, fields map[string]Field) {
	for _, field := range d.Fields {
		switch {
		case field.Name == fieldID, field.Name == fieldModstamp, field.Name == fieldDeleted:
		case field.Calculated:
			f.leave(field.Name, "it is a formula, and events have none")
		case compoundOf(field, fields) == "":
			f.addMember(field.Name, d, fields)
		}
	}
}

// addMember plans one name of the row.
func (f *Form) addMember(name string, d *Describe, fields map[string]Field) {
	field, known := fields[name]
	if !known {
		f.leave(name, "it is not described: it does not exist, or the user may not see it")
		return
	}
	m := member{name: name, plain: -1}
	for _, other := range d.Fields {
		if compoundOf(other, fields) == name {
			if kindOf(other.Type) == cellNone {
				f.leave(other.Name, "its type is "+quote(other.Type))
				continue
			}
			m.parts = append(m.parts, part{name: partName(name, other.Name), column: f.add(other)})
		}
	}
	// A name that has parts is read whole, too: a business account has no others.
	if kindOf(field.Type) != cellNone {
		m.plain = f.add(field)
	}
	if m.plain < 0 && len(m.parts) == 0 {
		f.leave(name, "its type is "+quote(field.Type))
		return
	}
	f.members = append(f.members, m)
}

func (f *Form) leave(name, why string) {
	f.left = append(f.left, LeftField{Name: name, Why: why})
}

// add selects a field, once.
func (f *Form) add(field Field) int {
	if i, ok := f.byName[field.Name]; ok {
		return i
	}
	f.byName[field.Name] = len(f.columns)
	f.columns = append(f.columns, column{name: field.Name, kind: kindOf(field.Type)})
	return len(f.columns) - 1
}

// compoundOf is the compound that a field is a part of. The name of a person says
// of itself that it is part of the name; and a compound that the user may not see
// has no parts.
func compoundOf(field Field, fields map[string]Field) string {
	if field.CompoundName == field.Name {
		return ""
	}
	if _, ok := fields[field.CompoundName]; !ok {
		return ""
	}
	return field.CompoundName
}

// partName is the name that events have for a part of a compound: City for
// BillingCity of BillingAddress, Latitude for Spot__Latitude__s of Spot__c.
func partName(compound, name string) string {
	if base, ok := strings.CutSuffix(compound, "__c"); ok {
		return strings.TrimSuffix(strings.TrimPrefix(name, base+"__"), "__s")
	}
	return strings.TrimPrefix(name, strings.TrimSuffix(compound, "Address"))
}
