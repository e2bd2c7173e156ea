package snapshot_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// rowCase is an object with a row, and the fields that the event of its creation has.
type rowCase struct {
	oneObject
	event string // members of the event behind the header
}

// one is a case of a single field. Its event has none if event is empty.
func one(kind, avro, rest, csv, event string) rowCase {
	c := rowCase{oneObject: oneObject{
		fields: []salesforce.Field{{Name: "F__c", Type: kind}},
		schema: `{"name":"F__c","type":["null",` + avro + `],"doc":"` + docOf(kind) + `","default":null}`,
		rest:   `"F__c":` + rest, csv: map[string]string{"F__c": csv},
	}}
	if event != "" {
		c.event = `"F__c":` + event
	}
	return c
}

// docOf is the remark by which schemas tell dates from times.
func docOf(kind string) string {
	switch kind {
	case "date":
		return "Data:DateOnly:00Nxx000001krnv"
	case "datetime":
		return "Data:DateTime:00Nxx000001krnw"
	case "time":
		return "Data:TimeOnly:00Nxx000001krnx"
	}
	return "Data:Any:00Nxx000001krny"
}

func text(kind, rest, csv, event string) rowCase { return one(kind, `"string"`, rest, csv, event) }

func textCases() map[string]rowCase {
	long := strings.Repeat("1,234 \u00fc\U0001F600 ", 3000)
	return map[string]rowCase{
		"text":                  text("string", `"Acme"`, `"Acme"`, `"Acme"`),
		"text, escapes":         text("string", `"a \"b\" \\ \/ \u00fc\r\n\t\u0001"`, "\"a \"\"b\"\" \\ / \u00fc\r\n\t\x01\"", `"a \"b\" \\ \/ ü\r\n\t\u0001"`),
		"text, beyond 16 bits":  text("string", `"\ud83d\ude00\u2028"`, "\"\U0001F600\u2028\"", "\"\U0001F600\u2028\""),
		"text, blanks":          text("string", `"  a  "`, `"  a  "`, `"  a  "`),
		"text like null":        text("string", `"null"`, `"null"`, `"null"`),
		"text like a number":    text("string", `"007"`, `"007"`, `"007"`),
		"text like a diff":      text("string", `"{\"diff\":\"x\"}"`, `"{""diff"":""x""}"`, `"{\"diff\":\"x\"}"`),
		"text, none":            text("string", `null`, `""`, ``),
		"email":                 text("email", `"a@acme.example"`, `"a@acme.example"`, `"a@acme.example"`),
		"phone":                 text("phone", `"+49 1"`, `"+49 1"`, `"+49 1"`),
		"url":                   text("url", `"https:\/\/acme.example"`, `"https://acme.example"`, `"https://acme.example"`),
		"picklist":              text("picklist", `"Hot"`, `"Hot"`, `"Hot"`),
		"combobox":              text("combobox", `"Call"`, `"Call"`, `"Call"`),
		"multi-select picklist": text("multipicklist", `"A;B, c"`, `"A;B, c"`, `"A;B, c"`),
		"encrypted":             text("encryptedstring", `"****1234"`, `"****1234"`, `"****1234"`),
		"text area":             text("textarea", `"two\r\nlines"`, "\"two\r\nlines\"", `"two\r\nlines"`),
		"long text":             text("textarea", `"`+long+`"`, `"`+long+`"`, `"`+long+`"`),
		"rich text":             text("textarea", `"<p>a, \"b\"<\/p>"`, `"<p>a, ""b""</p>"`, `"<p>a, \"b\"</p>"`),
		"reference":             text("reference", `"005xx000001SvogAAC"`, `"005xx000001SvogAAC"`, `"005xx000001SvogAAC"`),
		"id of another object":  text("id", `"00Dxx0000001gPLEAY"`, `"00Dxx0000001gPLEAY"`, `"00Dxx0000001gPLEAY"`),
	}
}

func numberCases() map[string]rowCase {
	return map[string]rowCase{
		"checkbox":                    one("boolean", `"boolean"`, `true`, `"true"`, `true`),
		"checkbox, off":               one("boolean", `"boolean"`, `false`, `false`, `false`),
		"number":                      one("double", `"double"`, `-12.5`, `"-12.50"`, `-12.5`),
		"number, none":                one("double", `"double"`, `null`, ``, ``),
		"number, zero":                one("double", `"double"`, `0.0`, `0`, `0.0`),
		"number, whole":               one("double", `"double"`, `5`, `"5.0"`, `5.0`),
		"number, large":               one("double", `"double"`, `1.0E7`, `"10000000"`, `1.0E7`),
		"number, small":               one("double", `"double"`, `1.25E-4`, `"0.000125"`, `1.25E-4`),
		"number, 18 digits":           one("double", `"double"`, `123456789012345.678`, `"123456789012345.678"`, `1.23456789012345678E14`),
		"number that events call int": one("double", `"int"`, `2400.0`, `"2400"`, `2400`),
		"int that events call number": one("int", `"double"`, `2400`, `"2400"`, `2400.0`),
		"currency":                    one("currency", `"double"`, `1234.56`, `"1234.56"`, `1234.56`),
		"percent":                     one("percent", `"double"`, `20.0`, `"20.0"`, `20.0`),
		"int":                         one("int", `"int"`, `2147483647`, `"2147483647"`, `2147483647`),
		"int, negative":               one("int", `"int"`, `-1`, `-1`, `-1`),
		"int, none":                   one("int", `"int"`, `null`, ``, ``),
		"long, beyond a double":       one("long", `"long"`, `9223372036854775807`, `"9223372036854775807"`, `9223372036854775807`),
		"date":                        one("date", `"long"`, `"2026-03-04"`, `"2026-03-04"`, `"2026-03-04"`),
		"date before 1970":            one("date", `"long"`, `"1899-12-31"`, `1899-12-31`, `"1899-12-31"`),
		"date, none":                  one("date", `"long"`, `null`, ``, ``),
		"date and time":               one("datetime", `"long"`, `"2026-03-04T09:15:22.481+0000"`, `"2026-03-04T09:15:22.481Z"`, `"2026-03-04T09:15:22.481Z"`),
		"date and time, offset":       one("datetime", `"long"`, `"2026-03-04T10:15:22+0100"`, `"2026-03-04T10:15:22.000+01:00"`, `"2026-03-04T09:15:22.000Z"`),
		"time":                        one("time", `"int"`, `"13:30:00.001Z"`, `"13:30:00.001Z"`, `"13:30:00.001Z"`),
		"time, none":                  one("time", `"int"`, `null`, ``, ``),
		"formula":                     formula(),
		"base64":                      without(one("base64", `"string"`, `"/services/data/v66.0/sobjects/Widget__c/a0B/F__c"`, `"QQ=="`, ``)),
		"a type from the future":      without(one("quaternion", `"string"`, `"1i"`, `"1i"`, ``)),
	}
}

func formula() rowCase {
	c := one("double", `"double"`, `40`, `"40.0"`, `40.0`)
	c.fields[0].Calculated = true
	return c
}

// without is a case whose field neither rows nor events have: a reader that asks for its
// column fails, since it is not in the reply.
func without(c rowCase) rowCase {
	c.fields = append(c.fields, salesforce.Field{Name: "G__c", Type: "string"})
	c.schema += `,{"name":"G__c","type":["null","string"],"doc":"","default":null}`
	c.rest, c.csv, c.event = `"G__c":"g"`, map[string]string{"G__c": "g"}, `"G__c":"g"`
	return c
}

// parts describes a compound field, with parts whose names have the affixes.
func parts(compound, kind, before, after string, names ...string) []salesforce.Field {
	fields := []salesforce.Field{{Name: compound, Type: kind}}
	for _, name := range names {
		partKind := "string"
		if strings.HasSuffix(name, "itude") {
			partKind = "double"
		}
		fields = append(fields, salesforce.Field{Name: before + name + after, Type: partKind, CompoundName: compound})
	}
	return fields
}

// compound is the schema of a field that is a record, or a text too.
func compound(field, also, record string, names ...string) string {
	var fields []string
	for _, name := range names {
		typ := "string"
		if strings.HasSuffix(name, "itude") {
			typ = "double"
		}
		fields = append(fields, `{"name":"`+name+`","type":["null","`+typ+`"],"doc":"Data:Text","default":null}`)
	}
	return `{"name":"` + field + `","type":["null",` + also + `{"type":"record","name":"` + record + `","fields":[` + strings.Join(fields, ",") + `]}],"doc":"","default":null}`
}

func compoundCases() map[string]rowCase {
	address := func(rest string, csv map[string]string, event string) rowCase {
		return rowCase{oneObject{
			name: "Account", fields: parts("BillingAddress", "address", "Billing", "", "Street", "City", "Latitude"),
			schema: compound("BillingAddress", "", "Address", "Street", "City", "Latitude", "StateCode"), rest: rest, csv: csv,
		}, event}
	}
	location := func(rest string, csv map[string]string, event string) rowCase {
		return rowCase{oneObject{
			fields: parts("Spot__c", "location", "Spot__", "__s", "Latitude", "Longitude"),
			schema: compound("Spot__c", "", "Location", "Latitude", "Longitude"), rest: rest, csv: csv,
		}, event}
	}
	name := func(also, rest string, csv map[string]string, event string) rowCase {
		return rowCase{oneObject{
			name: "Contact", fields: parts("Name", "string", "", "", "Salutation", "FirstName", "LastName"),
			schema: compound("Name", also, "PersonName", "Salutation", "FirstName", "LastName"), rest: rest, csv: csv,
		}, event}
	}
	return map[string]rowCase{
		"address": address(`"BillingStreet":"1 Rue","BillingCity":"Lyon","BillingLatitude":45.75`, map[string]string{"BillingStreet": `"1 Rue"`, "BillingCity": "Lyon", "BillingLatitude": "45.75"},
			`"BillingAddress":{"Street":"1 Rue","City":"Lyon","Latitude":45.75}`),
		"address, some of it": address(`"BillingStreet":null,"BillingCity":"Lyon","BillingLatitude":null`, map[string]string{"BillingStreet": "", "BillingCity": "Lyon", "BillingLatitude": ""},
			`"BillingAddress":{"City":"Lyon"}`),
		"address, none":  address(`"BillingStreet":null,"BillingCity":null,"BillingLatitude":null`, map[string]string{"BillingStreet": "", "BillingCity": "", "BillingLatitude": ""}, ``),
		"location":       location(`"Spot__Latitude__s":1.5,"Spot__Longitude__s":-2`, map[string]string{"Spot__Latitude__s": `"1.5"`, "Spot__Longitude__s": "-2.0"}, `"Spot__c":{"Latitude":1.5,"Longitude":-2.0}`),
		"location, none": location(`"Spot__Latitude__s":null,"Spot__Longitude__s":null`, map[string]string{"Spot__Latitude__s": "", "Spot__Longitude__s": ""}, ``),
		"name of a contact": name("", `"Name":"Ada Krol","Salutation":null,"FirstName":"Ada","LastName":"Krol"`,
			map[string]string{"Name": "Ada Krol", "Salutation": "", "FirstName": "Ada", "LastName": "Krol"}, `"Name":{"FirstName":"Ada","LastName":"Krol"}`),
		"name of a person account": name(`"string",`, `"Name":"Ada Krol","Salutation":"Dr.","FirstName":"Ada","LastName":"Krol"`,
			map[string]string{"Name": "Ada Krol", "Salutation": "Dr.", "FirstName": "Ada", "LastName": "Krol"}, `"Name":{"Salutation":"Dr.","FirstName":"Ada","LastName":"Krol"}`),
		"name of a business account": name(`"string",`, `"Name":"Acme","Salutation":null,"FirstName":null,"LastName":null`,
			map[string]string{"Name": "Acme", "Salutation": "", "FirstName": "", "LastName": ""}, `"Name":"Acme"`),
	}
}

// TestRowsBecomeTheRecordsOfEvents: by both readers, in every format and envelope, a
// row's record is that of the event CREATE of the same values.
func TestRowsBecomeTheRecordsOfEvents(t *testing.T) {
	cases := textCases()
	maps.Copy(cases, numberCases())
	maps.Copy(cases, compoundCases())
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		t.Run(name, func(t *testing.T) {
			client := shapeClient(t, &c.oneObject)
			shape := newShape(t, client, c.object())
			encoders := newEncoders(t, client)
			created := []byte(`{"ChangeEventHeader":{}}`)
			if c.event != "" {
				created = []byte(`{"ChangeEventHeader":{},` + c.event + `}`)
			}
			for how, rows := range bothReaders(t, client, shape, func(time.Duration) {}) {
				if len(rows) != 1 {
					t.Fatalf("%s: %d rows", how, len(rows))
				}
				encoders.sameRecord(t, shape.Event(rows[0]), created)
			}
		})
	}
}
