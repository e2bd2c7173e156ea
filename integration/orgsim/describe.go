package orgsim

import "time"

// restFields is a record as REST shows it: compound fields whole and flat. The
// caller holds o.mu.
func (ob *object) restFields(r *record) map[string]any {
	out := map[string]any{
		"Id": r.id, "IsDeleted": r.deleted,
		"SystemModstamp": time.UnixMilli(r.modstamp).UTC().Format(restTimeLayout),
	}
	for i, f := range ob.fields {
		v := r.val(i)
		out[f.Name] = f.restValue(v)
		parts, _ := v.([]any)
		for j, p := range f.parts {
			var pv any
			if j < len(parts) {
				pv = rawPart(parts[j])
			}
			out[f.flat(p)] = pv
		}
	}
	return out
}

func (c *restCall) summary(ob *object) map[string]any {
	label := ob.def.Label
	if label == "" {
		label = ob.def.Name
	}
	event := ob.def.IsEvent()
	base := c.base() + "/sobjects/" + ob.def.Name
	return map[string]any{
		"name": ob.def.Name, "label": label, "labelPlural": label + "s", "keyPrefix": ob.prefix,
		"custom": len(ob.def.Name) > 3 && ob.def.Name[len(ob.def.Name)-3] == '_', "createable": true, "updateable": !event,
		"deletable": !event, "undeletable": !event, "queryable": !event, "retrieveable": !event, "replicateable": !event,
		"urls": map[string]string{"sobject": base, "describe": base + "/describe", "rowTemplate": base + "/{ID}", "eventSchema": base + "/eventSchema"},
	}
}

// describe is the object's describe as the caller may see it; the caller holds o.mu.
func (c *restCall) describe(ob *object) map[string]any {
	fields := []any{}
	if ob.def.IsEvent() {
		for _, f := range ob.fields {
			fields = append(fields, describeField(f, describeType(f.Type), ob.def.Name, ""))
		}
	} else {
		for _, col := range c.catalogue().of(ob).columns {
			fields = append(fields, col.describe(ob.def.Name))
		}
	}
	out := c.summary(ob)
	out["fields"] = fields
	out["childRelationships"], out["recordTypeInfos"] = []any{}, []any{}
	return out
}

// describe is one field of a describe.
func (c *soqlColumn) describe(object string) map[string]any {
	f, kind, compound := c.field, describeType(c.kind), ""
	switch {
	case c.name == "Id":
		f = &field{Field: Field{Name: "Id", Label: "Record ID", Type: idKind, Length: 18}, system: true}
	case f == nil:
		f = &field{Field: Field{Name: c.name, Label: map[string]string{"IsDeleted": "Deleted", "SystemModstamp": "System Modstamp"}[c.name], Type: c.kind}, system: true}
	case c.parent != nil:
		f, compound = &field{Field: Field{Name: c.name, Label: f.Label + " " + f.parts[c.part].name, Length: f.Length}}, f.Name
	}
	out := describeField(f, kind, object, compound)
	out["filterable"], out["sortable"], out["groupable"] = c.filterable(), c.sortable(), c.sortable() && c.kind != DateTime && c.kind != Number
	if c.kind == Lookup {
		out["relationshipName"] = relation(c.name)
	}
	if f.Formula != "" {
		out["calculated"], out["calculatedFormula"] = true, f.Formula
		out["createable"], out["updateable"], out["nillable"] = false, false, true
	}
	if c.kind == Base64 {
		out["createable"], out["updateable"] = false, false
	}
	return out
}

// Relabel gives a field another label and help text, or the object another label
// if field is empty. Neither is part of an event's schema, whose id stays.
func (o *Org) Relabel(object, field, label, help string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	ob := o.objects[object]
	if ob == nil {
		return errNoObject(object)
	}
	if field == "" {
		ob.def.Label = label
		return nil
	}
	if f := ob.derivedNamed(field); f != nil {
		f.Label, f.Help = label, help
		return nil
	}
	at, ok := ob.columns[field]
	if !ok || at.part >= 0 {
		return &RequestError{Status: 400, Code: "INVALID_FIELD", Fields: []string{field}, Message: "no such field of " + object}
	}
	f := ob.fields[at.field]
	f.Label, f.Help = label, help
	return nil
}

func describeType(k Kind) string {
	switch k {
	case PersonName, AccountName, AutoNumber:
		return "string"
	default:
		return string(k)
	}
}

func soapType(kind string) string {
	soap := map[string]string{
		"id": "tns:ID", "base64": "xsd:base64Binary", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "double": "xsd:double", "currency": "xsd:double",
		"percent": "xsd:double", "date": "xsd:date", "datetime": "xsd:dateTime", "time": "xsd:time", "address": "urn:address", "location": "urn:location",
	}
	if s, ok := soap[kind]; ok {
		return s
	}
	return "xsd:string"
}

func describeField(f *field, kind, object, compound string) map[string]any {
	picks := []any{}
	for _, v := range f.Values {
		picks = append(picks, map[string]any{"active": true, "defaultValue": false, "label": v, "validFor": nil, "value": v})
	}
	refs := []string{}
	if f.ReferenceTo != "" {
		refs = append(refs, f.ReferenceTo)
	}
	length := f.Length
	if soapType(kind) != "xsd:string" && kind != "id" {
		length = 0
	}
	var parent, help any
	if compound != "" {
		parent = compound
	}
	if f.Help != "" {
		help = f.Help
	}
	precision := 0
	if soapType(kind) == "xsd:double" {
		precision = 18
	}
	return map[string]any{
		"name": f.Name, "label": f.Label, "type": kind, "soapType": soapType(kind), "length": length, "byteLength": 3 * length,
		"precision": precision, "scale": f.Scale, "digits": 0, "custom": f.custom(), "nillable": !f.Required && !f.system && f.Type != Checkbox,
		"createable": !f.system && f.parts == nil, "updateable": !f.system && f.parts == nil, "autoNumber": f.Type == AutoNumber,
		"calculated": false, "compoundFieldName": parent, "defaultedOnCreate": f.system || f.Type == Checkbox, "externalId": false,
		"filterable": f.Type != LongText, "sortable": f.Type != LongText, "groupable": false, "idLookup": f.Name == "Id", "unique": false,
		"nameField": f.Name == "Name" && object != "", "picklistValues": picks, "restrictedPicklist": f.Restricted, "calculatedFormula": nil,
		"referenceTo": refs, "relationshipName": nil, "inlineHelpText": help, "defaultValue": nil, "encrypted": false,
	}
}
