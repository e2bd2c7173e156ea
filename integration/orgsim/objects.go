package orgsim

import (
	"strings"
)

// Kind is the type of a field, named as the describe resource names it
// (REST API guide, sObject Describe); the compound name kinds are ours,
// describe shows them as "string".
type Kind string

// The kinds of field that an object or a platform event may have.
const (
	Text          Kind = "string"
	LongText      Kind = "textarea"
	Email         Kind = "email"
	Phone         Kind = "phone"
	URL           Kind = "url"
	Picklist      Kind = "picklist"
	MultiPicklist Kind = "multipicklist"
	AutoNumber    Kind = "autonumber"
	Checkbox      Kind = "boolean"
	Integer       Kind = "int"
	Number        Kind = "double"
	Currency      Kind = "currency"
	Percent       Kind = "percent"
	Date          Kind = "date"
	DateTime      Kind = "datetime"
	Time          Kind = "time"
	Lookup        Kind = "reference"
	PersonName    Kind = "personname"  // record Salutation, FirstName, MiddleName, LastName, Suffix
	AccountName   Kind = "accountname" // a string, or a person's name on a person account
	Address       Kind = "address"     // record Street ... GeocodeAccuracy
	Geolocation   Kind = "location"    // record Latitude, Longitude
	Base64        Kind = "base64"      // no value is kept: REST shows the address of the content
)

// Field defines one field of an object or platform event.
type Field struct {
	Name        string   `json:"name"`
	Type        Kind     `json:"type"`
	Label       string   `json:"label,omitempty"`
	Help        string   `json:"help,omitempty"`        // help text, for describe only
	Length      int      `json:"length,omitempty"`      // characters; 0: 255, or 32,768 for LongText
	Scale       int      `json:"scale,omitempty"`       // decimals, for describe only
	Values      []string `json:"values,omitempty"`      // picklist values
	Restricted  bool     `json:"restricted,omitempty"`  // refuse picklist values that are not in Values
	ReferenceTo string   `json:"referenceTo,omitempty"` // Lookup: the object
	Required    bool     `json:"required,omitempty"`
	Format      string   `json:"format,omitempty"` // AutoNumber: prefix before the number, such as "INV-"
	// Formula makes it a formula field of the given type: never in events, never
	// written, and its value changes with that of others. A field or parent's field
	// (Account__r.Rating), several and 'texts' joined by &, or numbers joined by *.
	Formula string `json:"formula,omitempty"`
}

// Object defines an sObject with change data capture, or, when the name ends
// in __e, a platform event. System fields (OwnerId, CreatedDate, CreatedById,
// LastModifiedDate, LastModifiedById) are added by the org.
type Object struct {
	Name      string  `json:"name"`
	Label     string  `json:"label,omitempty"`
	KeyPrefix string  `json:"keyPrefix,omitempty"` // three characters; given out by the org when empty
	Fields    []Field `json:"fields"`
	NoCapture bool    `json:"noCapture,omitempty"` // an sObject that is not selected for change data capture
}

// IsEvent reports whether the object is a platform event.
func (o Object) IsEvent() bool { return strings.HasSuffix(o.Name, "__e") }

// EventName is the name of the event that the object gives: AccountChangeEvent,
// Invoice__ChangeEvent, Order__e (Change Data Capture guide, channel names).
func (o Object) EventName() string {
	switch {
	case o.IsEvent():
		return o.Name
	case strings.HasSuffix(o.Name, "__c"):
		return strings.TrimSuffix(o.Name, "__c") + "__ChangeEvent"
	default:
		return o.Name + "ChangeEvent"
	}
}

// Channel is the single-entity channel of the object.
func (o Object) Channel() string {
	if o.IsEvent() {
		return "/event/" + o.Name
	}
	return "/data/" + o.EventName()
}

// DefaultObjects are the objects of an org whose Config names none: Account,
// Contact, Invoice__c (one field of every kind) and the platform event Order__e.
func DefaultObjects() []Object {
	return []Object{accountObject(), contactObject(), invoiceObject(), orderEvent()}
}

func accountObject() Object {
	return Object{Name: "Account", Label: "Account", KeyPrefix: "001", Fields: []Field{
		{Name: "Name", Type: AccountName, Label: "Account Name", Required: true},
		{Name: "Type", Type: Picklist, Values: []string{"Prospect", "Customer - Direct", "Customer - Channel", "Partner", "Other"}},
		{Name: "ParentId", Type: Lookup, ReferenceTo: "Account"},
		{Name: "BillingAddress", Type: Address},
		{Name: "ShippingAddress", Type: Address},
		{Name: "Phone", Type: Phone, Length: 40},
		{Name: "Fax", Type: Phone, Length: 40},
		{Name: "AccountNumber", Type: Text, Length: 40},
		{Name: "Website", Type: URL},
		{Name: "Sic", Type: Text, Length: 20},
		{Name: "Industry", Type: Picklist, Values: []string{"Agriculture", "Banking", "Chemicals", "Energy", "Healthcare", "Retail", "Technology", "Transportation"}},
		{Name: "AnnualRevenue", Type: Currency},
		{Name: "NumberOfEmployees", Type: Integer},
		{Name: "Ownership", Type: Picklist, Values: []string{"Public", "Private", "Subsidiary", "Other"}},
		{Name: "TickerSymbol", Type: Text, Length: 20},
		{Name: "Description", Type: LongText, Length: 32000},
		{Name: "Rating", Type: Picklist, Values: []string{"Hot", "Warm", "Cold"}},
		{Name: "Site", Type: Text, Length: 80},
	}}
}

func contactObject() Object {
	return Object{Name: "Contact", Label: "Contact", KeyPrefix: "003", Fields: []Field{
		{Name: "AccountId", Type: Lookup, ReferenceTo: "Account"},
		{Name: "Name", Type: PersonName, Label: "Full Name", Required: true},
		{Name: "OtherAddress", Type: Address},
		{Name: "MailingAddress", Type: Address},
		{Name: "Phone", Type: Phone, Length: 40},
		{Name: "MobilePhone", Type: Phone, Length: 40},
		{Name: "ReportsToId", Type: Lookup, ReferenceTo: "Contact"},
		{Name: "Email", Type: Email, Length: 80},
		{Name: "Title", Type: Text, Length: 128},
		{Name: "Department", Type: Text, Length: 80},
		{Name: "LeadSource", Type: Picklist, Values: []string{"Web", "Phone Inquiry", "Partner Referral", "Other"}},
		{Name: "Birthdate", Type: Date},
		{Name: "Description", Type: LongText, Length: 32000},
		{Name: "HasOptedOutOfEmail", Type: Checkbox, Label: "Email Opt Out"},
	}}
}

func invoiceObject() Object {
	return Object{Name: "Invoice__c", Label: "Invoice", KeyPrefix: "a01", Fields: []Field{
		{Name: "Name", Type: AutoNumber, Label: "Invoice Number", Format: "INV-"},
		{Name: "Account__c", Type: Lookup, Label: "Account", ReferenceTo: "Account"},
		{Name: "Amount__c", Type: Currency, Label: "Amount", Scale: 2},
		{Name: "Quantity__c", Type: Number, Label: "Quantity", Scale: 3},
		{Name: "Discount__c", Type: Percent, Label: "Discount", Scale: 2},
		{Name: "Paid__c", Type: Checkbox, Label: "Paid"},
		{Name: "Due_Date__c", Type: Date, Label: "Due Date"},
		{Name: "Sent_At__c", Type: DateTime, Label: "Sent At"},
		{Name: "Cutoff__c", Type: Time, Label: "Cutoff"},
		{Name: "Status__c", Type: Picklist, Label: "Status", Values: []string{"Draft", "Open", "Paid", "Void"}},
		{Name: "Tags__c", Type: MultiPicklist, Label: "Tags", Values: []string{"Rush", "Export", "Recurring", "Disputed"}},
		{Name: "Notes__c", Type: LongText, Label: "Notes", Length: 131072},
		{Name: "Contact_Email__c", Type: Email, Label: "Contact Email", Length: 80},
		{Name: "Loc__c", Type: Geolocation, Label: "Location"},
	}}
}

func orderEvent() Object {
	return Object{Name: "Order__e", Label: "Order", Fields: []Field{
		{Name: "Order_Number__c", Type: Text, Label: "Order Number"},
		{Name: "Status__c", Type: Text, Label: "Status"},
		{Name: "Amount__c", Type: Number, Label: "Amount"},
		{Name: "Express__c", Type: Checkbox, Label: "Express"},
		{Name: "Ordered_At__c", Type: DateTime, Label: "Ordered At"},
		{Name: "Delivery_Date__c", Type: Date, Label: "Delivery Date"},
		{Name: "Details__c", Type: LongText, Label: "Details", Length: 131072},
	}}
}

// part is one component of a compound field.
type part struct {
	name   string
	number bool // a double, else a string
}

// parts lists the components of a compound kind in schema order (Street is
// bit 0 of an address in changed-field bitmaps); nil for a plain kind.
func (k Kind) parts() []part {
	switch k {
	case PersonName, AccountName:
		return []part{{name: "Salutation"}, {name: "FirstName"}, {name: "MiddleName"}, {name: "LastName"}, {name: "Suffix"}}
	case Address:
		return []part{{name: "Street"}, {name: "City"}, {name: "State"}, {name: "PostalCode"}, {name: "Country"},
			{name: "StateCode"}, {name: "CountryCode"}, {name: "Latitude", number: true}, {name: "Longitude", number: true}, {name: "GeocodeAccuracy"}}
	case Geolocation:
		return []part{{name: "Latitude", number: true}, {name: "Longitude", number: true}}
	default:
		return nil
	}
}

// field is a Field made ready for use.
type field struct {
	Field
	parts  []part
	system bool
	id     string // 15-character id of a custom field, shown in schema docs
	key    string // `"Name":` as it stands in an event
}

func newField(f Field, system bool, id string) *field {
	if f.Label == "" {
		f.Label = strings.ReplaceAll(strings.TrimSuffix(f.Name, "__c"), "_", " ")
	}
	if f.Length == 0 {
		f.Length = 255
		if f.Type == LongText {
			f.Length = 32768
		}
	}
	return &field{Field: f, parts: f.Type.parts(), system: system, id: id, key: `"` + f.Name + `":`}
}

func (f *field) custom() bool { return strings.HasSuffix(f.Name, "__c") }

// flat names the column by which REST addresses one component of a compound
// field: MailingCity for MailingAddress.City, Loc__Latitude__s for Loc__c.Latitude.
func (f *field) flat(p part) string {
	switch f.Type {
	case Address:
		return strings.TrimSuffix(f.Name, "Address") + p.name
	case Geolocation:
		return strings.TrimSuffix(f.Name, "__c") + "__" + p.name + "__s"
	default:
		return p.name
	}
}

// column addresses a whole field (part -1) or one component of it.
type column struct {
	field int
	part  int
}

// object is an Object made ready for use, with its records.
type object struct {
	def     Object
	typ     *eventType
	prefix  string
	fields  []*field // schema order; new fields are appended, so an index stays valid
	columns map[string]column
	sys     sysColumns
	schema  *schema  // the current one
	derived []*field // formulas and binaries: no event and no writer has them
	records map[string]*record
	index   []*record // all records in order of id
	purged  int64     // the last deletion that was emptied from the bin, epoch ms
	live    []*record // records that are not deleted, for even and reproducible choice
	autonum int64
}

// sysColumns are the indexes of the system fields; -1 where there is none.
type sysColumns struct {
	owner, created, createdBy, modified, modifiedBy int
}

// newObject lays out the fields as Salesforce does: standard ones, system
// ones, custom ones (Pub/Sub API guide, event schema).
func newObject(def Object, prefix string, fieldID func() string) *object {
	ob := &object{def: def, prefix: prefix, records: map[string]*record{}, columns: map[string]column{}}
	ob.sys = sysColumns{-1, -1, -1, -1, -1}
	if def.IsEvent() {
		ob.addSystem("CreatedDate", DateTime, &ob.sys.created)
		ob.addSystem("CreatedById", Lookup, &ob.sys.createdBy)
		for _, f := range def.Fields {
			ob.add(newField(f, false, fieldID()))
		}
		return ob
	}
	for _, f := range def.Fields {
		if !strings.HasSuffix(f.Name, "__c") {
			ob.place(newField(f, false, ""))
		}
	}
	ob.addSystem("OwnerId", Lookup, &ob.sys.owner)
	ob.addSystem("CreatedDate", DateTime, &ob.sys.created)
	ob.addSystem("CreatedById", Lookup, &ob.sys.createdBy)
	ob.addSystem("LastModifiedDate", DateTime, &ob.sys.modified)
	ob.addSystem("LastModifiedById", Lookup, &ob.sys.modifiedBy)
	for _, f := range def.Fields {
		if strings.HasSuffix(f.Name, "__c") {
			ob.place(newField(f, false, fieldID()))
		}
	}
	return ob
}

func (ob *object) addSystem(name string, kind Kind, at *int) {
	*at = len(ob.fields)
	f := Field{Name: name, Type: kind}
	if kind == Lookup {
		f.ReferenceTo = "User"
	}
	ob.add(newField(f, true, ""))
}

// place adds a field where its kind belongs.
func (ob *object) place(f *field) {
	if f.Formula != "" || f.Type == Base64 {
		ob.derived = append(ob.derived, f)
		return
	}
	ob.add(f)
}

func (ob *object) derivedNamed(name string) *field {
	for _, f := range ob.derived {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// wholeField says whether a stored field has that name, and not a part of one.
func (ob *object) wholeField(name string) bool {
	at, ok := ob.columns[name]
	return ok && at.part < 0
}

func (ob *object) add(f *field) {
	i := len(ob.fields)
	ob.fields = append(ob.fields, f)
	ob.columns[f.Name] = column{i, -1}
	for j, p := range f.parts {
		ob.columns[f.flat(p)] = column{i, j}
	}
}
