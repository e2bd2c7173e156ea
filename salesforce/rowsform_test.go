package salesforce_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// oneRow is an org with one row of any columns, as REST and as CSV.
type oneRow struct {
	record string // JSON, without attributes
	header string
	line   string
}

func (o oneRow) RoundTrip(r *http.Request) (*http.Response, error) {
	reply := func(text string) (*http.Response, error) { return rowsReply(r, 200, nil, []byte(text)), nil }
	job := `{"id":"7501","state":"JobComplete","apiVersion":66}`
	switch {
	case strings.HasPrefix(r.URL.Path, "/services/data/v66.0/query"):
		return reply(`{"records":[` + o.record + `],"done":true,"totalSize":1}`)
	case strings.HasSuffix(r.URL.Path, "/results"):
		header := http.Header{"Sforce-Locator": {"null"}, "Sforce-Numberofrecords": {"1"}}
		return rowsReply(r, 200, header, []byte(o.header+"\n"+o.line+"\n")), nil
	}
	return reply(job)
}

// bothForms reads a row by both readers.
func bothForms(t *testing.T, org oneRow, form *salesforce.Form) map[string]func() (salesforce.Row, error) {
	t.Helper()
	first := func(rows salesforce.Rows, err error) (salesforce.Row, error) {
		if err != nil {
			return salesforce.Row{}, err
		}
		row, err := rows.Next()
		if err == nil {
			if _, end := rows.Next(); !errors.Is(end, io.EOF) {
				t.Errorf("after the row: %v", end)
			}
		}
		return row, errors.Join(err, rows.Close())
	}
	reader := newReader(t, org, nil)
	return map[string]func() (salesforce.Row, error){
		"rest": func() (salesforce.Row, error) {
			return first(reader.Query(t.Context(), salesforce.Selection{Form: form}))
		},
		"csv": func() (salesforce.Row, error) {
			return first(reader.Bulk(t.Context(), salesforce.Selection{Form: form}))
		},
	}
}

const formID = "001xx000003DGb2AAG"

// TestFormOfEachType: both readers give what a change event of the same value has.
func TestFormOfEachType(t *testing.T) {
	for name, tc := range map[string]struct{ kind, rest, csv, event string }{
		"text":             {"string", `"Acme"`, `"Acme"`, `"Acme"`},
		"text, escapes":    {"string", `"a \"b\" \\ / \u00fc\r\n\t\u0001"`, "\"a \"\"b\"\" \\ / \u00fc\r\n\t\x01\"", `"a \"b\" \\ / ü\r\n\t\u0001"`},
		"text, backslash":  {"string", `"a\\"`, `a\`, `"a\\"`},
		"text like null":   {"string", `"null"`, `"null"`, `"null"`},
		"email":            {"email", `"a@acme.example"`, `"a@acme.example"`, `"a@acme.example"`},
		"phone":            {"phone", `"+49 1"`, `"+49 1"`, `"+49 1"`},
		"url":              {"url", `"https://acme.example"`, `"https://acme.example"`, `"https://acme.example"`},
		"picklist":         {"picklist", `"Hot"`, `"Hot"`, `"Hot"`},
		"multipicklist":    {"multipicklist", `"A;B"`, `"A;B"`, `"A;B"`},
		"combobox":         {"combobox", `"Call"`, `"Call"`, `"Call"`},
		"encrypted":        {"encryptedstring", `"***1"`, `"***1"`, `"***1"`},
		"text area":        {"textarea", `"<p>a, b</p>"`, `"<p>a, b</p>"`, `"<p>a, b</p>"`},
		"checkbox":         {"boolean", `true`, `"true"`, `true`},
		"checkbox, off":    {"boolean", `false`, `false`, `false`},
		"number":           {"double", `-12.50`, `"-12.50"`, `-12.50`},
		"percent":          {"percent", `20.0`, `"20.0"`, `20.0`},
		"currency":         {"currency", `1.0E7`, `"1.0E7"`, `1.0E7`},
		"int":              {"int", `2400`, `"2400"`, `2400`},
		"date":             {"date", `"2026-03-04"`, `"2026-03-04"`, `"2026-03-04"`},
		"datetime":         {"datetime", `"2026-03-04T09:15:22.000+0000"`, `"2026-03-04T09:15:22.000Z"`, `"2026-03-04T09:15:22.000Z"`},
		"datetime, offset": {"datetime", `"2026-03-04T10:15:22+0100"`, `"2026-03-04T10:15:22.000+01:00"`, `"2026-03-04T09:15:22.000Z"`},
		"time":             {"time", `"13:30:00.000Z"`, `"13:30:00.000Z"`, `"13:30:00.000Z"`},
		"reference":        {"reference", `"005xx000001SvogAAC"`, `"005xx000001SvogAAC"`, `"005xx000001SvogAAC"`},
		"null":             {"double", `null`, ``, ``},
		"null, quoted":     {"string", `null`, `""`, ``},
	} {
		for _, nulls := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				form := newForm(t, salesforce.FormConfig{Nulls: nulls, Describe: describe(salesforce.Field{Name: "F__c", Type: tc.kind})})
				org := oneRow{
					record: `{"attributes":{"type":"Account","url":"a}]\"{"}, "Id" : "` + formID + `","F__c":` + tc.rest + `}`,
					header: `"F__c",Id`, line: tc.csv + `,"` + formID + `"`,
				}
				want := `{"F__c":` + tc.event + `}`
				switch {
				case tc.event == "" && nulls:
					want = `{"F__c":null}`
				case tc.event == "":
					want = `{}`
				}
				for from, read := range bothForms(t, org, form) {
					row, err := read()
					if err != nil || row.ID != formID || !sameJSON(t, row.JSON, want) {
						t.Errorf("%s: %s, %v, want %s", from, row.JSON, err, want)
					}
				}
			})
		}
	}
}

// sameJSON compares texts whose strings may be escaped in other ways. Numbers must
// have the same digits.
func sameJSON(t *testing.T, got []byte, want string) bool {
	t.Helper()
	decode := func(text string) string {
		var v any
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&v); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		return string(marshal(v))
	}
	return decode(string(got)) == decode(want)
}

func describe(fields ...salesforce.Field) *salesforce.Describe {
	return &salesforce.Describe{Name: "Account", Fields: append([]salesforce.Field{{Name: "Id", Type: "id"}}, fields...)}
}

func newForm(t *testing.T, config salesforce.FormConfig) *salesforce.Form {
	t.Helper()
	form, err := salesforce.NewForm(config)
	if err != nil {
		t.Fatal(err)
	}
	return form
}

// TestFormRefusesValues: what a field's type does not have is not guessed.
func TestFormRefusesValues(t *testing.T) {
	for _, tc := range []struct{ kind, rest, csv string }{
		{"string", `1`, "\"\xff\""}, {"string", `{"a":1}`, "\"a\xc3\""},
		{"boolean", `"true"`, `"yes"`}, {"boolean", `1`, `1`},
		{"double", `"1"`, `"1,5"`}, {"double", `true`, `.5`}, {"double", `"NaN"`, `NaN`}, {"double", `{}`, `"1 "`}, {"double", `[]`, `0x1`},
		{"int", `1.5`, `1.0`}, {"int", `1E3`, `1e3`},
		{"date", `"2026-03-04T00:00:00Z"`, `03/04/2026`}, {"date", `20260304`, `20260304`},
		{"datetime", `"2026-03-04"`, `"2026-03-04"`}, {"datetime", `1772615722000`, `1772615722000`}, {"datetime", `"2026-13-04T09:15:22+0000"`, `today`},
		{"time", `"13:30"`, `1:30 PM`}, {"time", `48600000`, `48600000`},
	} {
		form := newForm(t, salesforce.FormConfig{Describe: describe(salesforce.Field{Name: "F__c", Type: tc.kind})})
		org := oneRow{record: `{"Id":"` + formID + `","F__c":` + tc.rest + `}`, header: `Id,F__c`, line: formID + `,` + tc.csv}
		for from, read := range bothForms(t, org, form) {
			_, err := read()
			var wrong *salesforce.RowError
			if !errors.As(err, &wrong) || wrong.Field != "F__c" || wrong.ID != formID || salesforce.Retryable(err) {
				t.Errorf("%s %s %s %s: %v", from, tc.kind, tc.rest, tc.csv, err)
			}
		}
	}
}

func TestFormRefusesRecords(t *testing.T) {
	form := newForm(t, salesforce.FormConfig{Describe: describe(salesforce.Field{Name: "F__c", Type: "string"})})
	for record, part := range map[string]string{
		`{"Id":"` + formID + `"}`:                           "is not in the reply",
		`{"Id":"` + formID + `","F__c":"a","G__c":1}`:       "was not asked for",
		`{"Id":"` + formID + `","F__c":"a","F__c":"b"}`:     "comes twice",
		`{"Id":"` + formID + `","F__c":"a","F__c":null}`:    "comes twice",
		`{"Id":null,"F__c":"a"}`:                            "0 characters",
		`{"Id":"` + strings.ToLower(formID) + `","F__c":1}`: "its case may have been changed",
		`["` + formID + `"]`:                                "not an object",
		`{"F__c":"a"}`:                                      "is not in the reply",
	} {
		_, err := bothForms(t, oneRow{record: record}, form)["rest"]()
		var wrong *salesforce.RowError
		if !errors.As(err, &wrong) || salesforce.Retryable(err) {
			t.Fatalf("%s: %v", record, err)
		}
		mustContain(t, err.Error(), part)
	}
}

// personFields are what a described object with all kinds of compounds has.
func personFields() []salesforce.Field {
	fields := []salesforce.Field{
		{Name: "IsDeleted", Type: "boolean"}, {Name: "SystemModstamp", Type: "datetime"},
		{Name: "Name", Type: "string", CompoundName: "Name"},
		{Name: "LastName", Type: "string", CompoundName: "Name"}, {Name: "FirstName", Type: "string", CompoundName: "Name"},
		{Name: "BillingAddress", Type: "address"}, {Name: "Address", Type: "address"}, {Name: "Home__c", Type: "address"}, {Name: "Spot__c", Type: "location"},
		{Name: "Formula__c", Type: "double", Calculated: true}, {Name: "Photo__c", Type: "base64"}, {Name: "New__c", Type: "hologram"},
	}
	for compound, parts := range map[string][]string{
		"BillingAddress": {"BillingCity", "BillingStateCode"}, "Address": {"City"}, "Home__c": {"Home__City__s"},
	} {
		for _, name := range parts {
			fields = append(fields, salesforce.Field{Name: name, Type: "string", CompoundName: compound})
		}
	}
	return append(fields,
		salesforce.Field{Name: "BillingLatitude", Type: "double", CompoundName: "BillingAddress"},
		salesforce.Field{Name: "Spot__Latitude__s", Type: "double", CompoundName: "Spot__c"},
		salesforce.Field{Name: "Orphan", Type: "string", CompoundName: "HiddenAddress"})
}

// TestFormOfCompounds: parts stand within their compound, by the names that events
// have; a name is a person's object or a business's text.
func TestFormOfCompounds(t *testing.T) {
	person := salesforce.Field{Name: "IsPersonAccount", Type: "boolean"}
	values := map[string]any{
		"Id": formID, "IsDeleted": true, "SystemModstamp": "2026-03-04T09:15:22.000+0000", "Name": "Ann Lee", "LastName": "Lee", "FirstName": "Ann",
		"BillingCity": "Lyon", "BillingStateCode": nil, "BillingLatitude": 45.75, "City": nil, "Home__City__s": "Ulm", "Spot__Latitude__s": 1.5,
		"Orphan": "o", "IsPersonAccount": true,
	}
	const rest = `"BillingAddress":{"City":"Lyon","Latitude":45.75},"Home__c":{"City":"Ulm"},"Spot__c":{"Latitude":1.5},"Orphan":"o"`
	for name, tc := range map[string]struct {
		fields  []salesforce.Field
		change  map[string]any
		nulls   bool
		want    string
		columns []string // that must not be asked for
	}{
		"person":           {personFields(), nil, false, `{"Name":{"FirstName":"Ann","LastName":"Lee"},` + rest + `}`, []string{"Address", "Spot__c", "Formula__c"}},
		"person account":   {append(personFields(), person), nil, false, `{"Name":{"FirstName":"Ann","LastName":"Lee"},"IsPersonAccount":true,` + rest + `}`, nil},
		"business account": {append(personFields(), person), map[string]any{"FirstName": nil, "LastName": nil}, false, `{"Name":"Ann Lee","IsPersonAccount":true,` + rest + `}`, nil},
		"nulls": {personFields(), map[string]any{"FirstName": nil}, true, `{"Name":{"FirstName":null,"LastName":"Lee"},"BillingAddress":{"City":"Lyon","StateCode":null,"Latitude":45.75},` +
			`"Address":{"City":null},"Home__c":{"City":"Ulm"},"Spot__c":{"Latitude":1.5},"Orphan":"o"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			form := newForm(t, salesforce.FormConfig{Describe: describe(tc.fields...), Nulls: tc.nulls})
			record, cells := map[string]any{}, []string{}
			for _, column := range form.Columns() {
				value, known := values[column]
				if changed, is := tc.change[column]; is {
					value = changed
				}
				if !known || slices.Contains(tc.columns, column) {
					t.Errorf("asks for %s", column)
				}
				record[column] = value
				text := strings.Trim(string(marshal(value)), `"`)
				if value == nil {
					text = ""
				}
				cells = append(cells, strings.Replace(text, "+0000", "Z", 1))
			}
			org := oneRow{record: string(marshal(record)), header: strings.Join(form.Columns(), ","), line: strings.Join(cells, ",")}
			for from, read := range bothForms(t, org, form) {
				row, err := read()
				if err != nil || !sameJSON(t, row.JSON, tc.want) {
					t.Errorf("%s: %s, %v, want %s", from, row.JSON, err, tc.want)
				}
				if !row.Deleted || !row.Modstamp.Equal(time.Date(2026, 3, 4, 9, 15, 22, 0, time.UTC)) {
					t.Errorf("%s: %+v", from, row)
				}
			}
		})
	}
}

func TestFormFields(t *testing.T) {
	form := newForm(t, salesforce.FormConfig{Describe: describe(personFields()...), Fields: []string{"Spot__c", "Formula__c", "Photo__c", "New__c", "Gone__c"}})
	if got := strings.Join(form.Columns(), " "); got != "Id SystemModstamp IsDeleted Spot__Latitude__s Formula__c" || form.Object() != "Account" {
		t.Errorf("columns %s of %s", got, form.Object())
	}
	left := form.Left()
	for i, part := range []string{"base64", "hologram", "not described"} {
		if len(left) != 3 || !strings.Contains(left[i].Why, part) {
			t.Fatalf("left %+v, want %s", left, part)
		}
	}
	if all := newForm(t, salesforce.FormConfig{Describe: describe(personFields()...)}); len(all.Left()) != 3 {
		t.Errorf("left %+v: a formula, a base64, a new type", all.Left())
	}
	for _, config := range []salesforce.FormConfig{
		{}, {Describe: &salesforce.Describe{Name: "A B"}}, {Describe: &salesforce.Describe{Name: "Account"}},
		{Describe: describe(personFields()...), Fields: []string{"Name", "Name"}},
	} {
		var wrong *salesforce.ConfigError
		if _, err := salesforce.NewForm(config); !errors.As(err, &wrong) {
			t.Errorf("%+v: %v", config, err)
		}
	}
}
