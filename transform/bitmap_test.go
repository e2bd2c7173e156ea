package transform_test

import (
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// publishedOrder has the fields of AccountChangeEvent in the order of a
// published sample; the vectors of the Pub/Sub API's examples refer to it.
const publishedOrder = "ChangeEventHeader Name Type ParentId BillingAddress ShippingAddress Phone Fax AccountNumber Website Sic Industry " +
	"AnnualRevenue NumberOfEmployees Ownership TickerSymbol Description Rating Site OwnerId CreatedDate CreatedById LastModifiedDate " +
	"LastModifiedById Jigsaw JigsawCompanyId CleanStatus AccountSource DunsNumber Tradestyle NaicsCode NaicsDesc"

func publishedSchema(tb testing.TB) *schemas.Schema {
	tb.Helper()
	part := func(name string) string { return `{"name":"` + name + `","type":["null","string"],"default":null}` }
	record := func(name string, parts ...string) string {
		for i := range parts {
			parts[i] = part(parts[i])
		}
		return `{"type":"record","name":"` + name + `","fields":[` + strings.Join(parts, ",") + `]}`
	}
	types := map[string]string{
		"ChangeEventHeader": record("ChangeEventHeader", "entityName"),
		"Name":              `["null","string",` + record("Switchable_PersonName", "Salutation", "FirstName", "LastName") + `]`,
		"BillingAddress":    `["null",` + record("Address", "Street", "City", "State", "PostalCode", "Country") + `]`,
		"ShippingAddress":   `["null","Address"]`,
		"Fax":               `["string",` + record("Odd", "First", "Second", "Third") + `]`,
	}
	var fields []string
	for name := range strings.FieldsSeq(publishedOrder) {
		typ := `["null","string"]`
		if t, ok := types[name]; ok {
			typ = t
		}
		fields = append(fields, `{"name":"`+name+`","type":`+typ+`}`)
	}
	s, err := schemas.Parse("an-id", []byte(`{"name":"AccountChangeEvent","namespace":"com.sforce.eventbus","type":"record","fields":[`+strings.Join(fields, ",")+`]}`))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// TestDecodeBitmap: vectors, the first six published with the Pub/Sub API's
// examples.
func TestDecodeBitmap(t *testing.T) {
	s := publishedSchema(t)
	withExtras, err := schemas.WithExtras(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ in, want string }{
		{"0x400800", "Industry LastModifiedDate"},
		{"0x410000", "Description LastModifiedDate"},
		{"0x010000", "Description"},
		{"0x400080", "Fax LastModifiedDate"},
		{"0x400000 4-0x01", "LastModifiedDate BillingAddress.Street"},
		{"0x650004E0 4-0x10 7-0x06", "ShippingAddress Phone Fax Sic Jigsaw CleanStatus Tradestyle NaicsCode BillingAddress.Country Fax.Second Fax.Third"},
		{"", ""}, {"0x0", ""}, {"0x0000000000000000000000000000000000", ""}, {"0x1", "ChangeEventHeader"}, {"0x00000000000000000000000002", "Name"}, {"0x400", "Sic"},
		{"4-0x1F", "BillingAddress.Street BillingAddress.City BillingAddress.State BillingAddress.PostalCode BillingAddress.Country"},
		{"5-0x2 4-0x2", "ShippingAddress.City BillingAddress.City"}, {"1-0x04", "Name.LastName"}, {"0x80000000 1-0x1", "NaicsDesc Name.Salutation"},
	} {
		for _, by := range []*schemas.Schema{s, withExtras} {
			got, err := transform.DecodeBitmap(by, strings.Fields(c.in))
			if err != nil || strings.Join(got, " ") != c.want {
				t.Errorf("%s: %v, %v, want %s", c.in, got, err, c.want)
			}
		}
	}
	for _, c := range []struct{ in, want string }{
		{"0x100000000", `element 0, the text "0x100000000", by the schema com.sforce.eventbus.AccountChangeEvent (an-id): found bit 32, expected none above 31`},
		{"0x2 4-0x20", `element 1, the text "4-0x20", by the schema com.sforce.eventbus.AccountChangeEvent (an-id): found bit 5, expected none above 4`},
		{"0x1000000000000000000000000000000000000", "found bit 144"},
		{"400800", `found the text "400800", expected "0x" and hexadecimal digits`}, {"0x", "hexadecimal digits"}, {"0xg", "hexadecimal digits"}, {"0X4", "hexadecimal digits"},
		{"0x+4", "hexadecimal digits"}, {"4-", "hexadecimal digits"}, {"4-1", "hexadecimal digits"}, {"4-0x1-0x1", "hexadecimal digits"},
		{"-0x1", `found the field number "", expected one from 0 to 31`}, {"x-0x1", `found the field number "x"`}, {"+4-0x1", `found the field number "+4"`},
		{"32-0x1", `found the field number "32", expected one from 0 to 31`}, {"99999999999999999999-0x1", "found the field number"}, {"-1-0x1", "found the field number"},
		{"6-0x1", "found parts of Phone, expected a compound field"}, {"31-0x1", "found parts of NaicsDesc"}, {"4-0x1 4-0x2", "found a second bitmap of BillingAddress"},
		{"4-0x1 0x2", "found a bitmap of the event behind another"}, {"0x1 0x2", "found a bitmap of the event behind another"},
	} {
		got, err := transform.DecodeBitmap(withExtras, strings.Fields(c.in))
		var bitmap *transform.BitmapError
		if !errors.As(err, &bitmap) || len(got) != 0 || !strings.Contains(err.Error(), c.want) || !transform.BadEvent(err) || transform.Retryable(err) {
			t.Errorf("%s: %v, %v, want %s", c.in, got, err, c.want)
		}
	}
	if _, err := transform.DecodeBitmap(s, []string{""}); err == nil {
		t.Error("an empty element passes")
	}
}

// TestDecodeBitmapSubsets encodes any subset of the fields and of their parts,
// by plain arithmetic, and decodes it.
func TestDecodeBitmapSubsets(t *testing.T) {
	s := publishedSchema(t)
	r := rand.New(rand.NewPCG(1, 2))
	compounds := map[int][]string{ // by index
		1: {"Salutation", "FirstName", "LastName"}, 4: {"Street", "City", "State", "PostalCode", "Country"},
		5: {"Street", "City", "State", "PostalCode", "Country"}, 7: {"First", "Second", "Third"},
	}
	names := strings.Fields(publishedOrder)
	for range 5000 {
		var want, in []string
		pick := func(from []string, prefix, element string) {
			bits := uint64(0)
			for i, name := range from {
				if r.IntN(4) == 0 {
					bits |= 1 << i
					want = append(want, prefix+name)
				}
			}
			if bits != 0 || r.IntN(10) == 0 {
				in = append(in, element+fmt.Sprintf([]string{"0x%x", "0x%X", "0x%08x", "0x%060x"}[r.IntN(4)], bits))
			}
		}
		pick(names, "", "")
		for _, i := range []int{1, 4, 5, 7} {
			pick(compounds[i], names[i]+".", fmt.Sprint(i, "-"))
		}
		got, err := transform.DecodeBitmap(s, in)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v: %v, %v, want %v", in, got, err, want)
		}
	}
}

// TestTransportsAgree: one change, told by CometD's JSON without lists and by
// the bitmaps of the Pub/Sub API, gives the same lists: names and order.
func TestTransportsAgree(t *testing.T) {
	ev, text := benchEvent(t)
	s, err := schemas.Parse(ev.SchemaID, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	index := func(name string) int {
		i := s.Root.Field(name)
		if i < 0 {
			t.Fatalf("no field %s", name)
		}
		return i
	}
	bits := func(names ...string) string {
		v := uint64(0)
		for _, name := range names {
			v |= 1 << index(name)
		}
		return fmt.Sprintf("0x%X", v)
	}
	part := func(parent string, mask int) string { return fmt.Sprintf("%d-0x%02X", index(parent), mask) }
	for _, c := range []struct {
		body                   string
		changed, nulled, diffs []string
	}{
		{`"Phone":"+33 1","LastModifiedDate":"2026-03-04T09:15:22.000Z"`, []string{bits("Phone", "LastModifiedDate")}, nil, nil},
		{`"LastModifiedDate":"2026-03-04T09:15:22.000Z","Phone":null,"Rating":null`, []string{bits("Phone", "Rating", "LastModifiedDate")}, []string{bits("Phone", "Rating")}, nil},
		{
			`"ShippingAddress":{"State":null},"Phone":null,"BillingAddress":{"City":null,"Street":{"diff":"@@"}},"Description":{"diff":"@@"},"LastModifiedDate":"2026-03-04T09:15:22.000Z"`,
			[]string{bits("Phone", "Description", "LastModifiedDate"), part("BillingAddress", 3), part("ShippingAddress", 4)},
			[]string{bits("Phone"), part("BillingAddress", 2), part("ShippingAddress", 4)},
			[]string{bits("Description"), part("BillingAddress", 1)},
		},
		{`"Name":{"FirstName":"Ada","LastName":null}`, []string{part("Name", 6)}, []string{part("Name", 4)}, nil},
		{`"Name":null,"BillingAddress":null,"Site__c":{"Latitude":1,"Longitude":null}`, []string{bits("Name", "BillingAddress"), part("Site__c", 3)}, []string{bits("Name", "BillingAddress"), part("Site__c", 2)}, nil},
	} {
		one := *ev
		one.Payload = []byte(`{` + c.body + `,"ChangeEventHeader":{"commitNumber":1,"commitUser":"u","sequenceNumber":1,"entityName":"Account","changeType":"UPDATE","changeOrigin":"","transactionKey":"t","commitTimestamp":5,"recordIds":["001xx000003DGb2AAG"]}}`)
		records, _, err := newEncoder(t, transform.Config{Schemas: catalogOf(map[string]string{ev.SchemaID: text})}).Encode(t.Context(), nil, &one)
		if err != nil {
			t.Fatal(err)
		}
		m, err := decodeAvro(string(s.JSON), records[0].Value)
		if err != nil {
			t.Fatal(err)
		}
		head, _ := m[schemas.HeaderField].(map[string]any)
		for list, in := range map[string][]string{"changedFields": c.changed, "nulledFields": c.nulled, "diffFields": c.diffs} {
			want, err := transform.DecodeBitmap(s, in)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(head[list]); got != fmt.Sprint(want) {
				t.Errorf("%s\n%s by CometD %s, by bitmap %v", c.body, list, got, want)
			}
		}
	}
}

// FuzzDecodeBitmap: any texts give names of the schema or an error that is the
// event's, and what they give is what big arithmetic gives.
func FuzzDecodeBitmap(f *testing.F) {
	for _, seed := range []string{"0x400800", "0x400000 4-0x01", "0x650004E0 4-0x10 7-0x06", "", "0x", "4-0x1F 5-0x1", "99-0x1", "-0x1", "0x100000000", "1-0x00000000000000000000000000001"} {
		f.Add(seed)
	}
	s := publishedSchema(f)
	f.Fuzz(func(t *testing.T, text string) {
		in := strings.Split(text, " ")
		got, err := transform.DecodeBitmap(s, in)
		if err != nil {
			if got != nil || !transform.BadEvent(err) {
				t.Fatalf("%v with %v", got, err)
			}
			return
		}
		var want []string
		for _, element := range in {
			parent, digits, compound := strings.Cut(element, "-")
			prefix, names := "", s.Root.Fields
			if !compound {
				digits = element
			} else {
				i, _ := new(big.Int).SetString(parent, 10)
				field := s.Root.Fields[i.Int64()]
				prefix, names = field.Name+".", partsOf(field.Type)
			}
			bits, ok := new(big.Int).SetString(strings.TrimPrefix(digits, "0x"), 16)
			if !ok {
				t.Fatalf("accepted %q", element)
			}
			for i := range bits.BitLen() {
				if bits.Bit(i) == 1 {
					want = append(want, prefix+names[i].Name)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q: %v, want %v", text, got, want)
		}
	})
}

func partsOf(n *schemas.Node) []schemas.Field {
	for _, b := range append([]*schemas.Node{n}, n.Branches...) {
		if b.Kind == schemas.KindRecord {
			return b.Fields
		}
	}
	return nil
}
