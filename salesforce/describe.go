package salesforce

import "context"

// Describe is what is used of an object's description (REST API Developer Guide,
// "sObject Describe"). A null of Salesforce is the zero value here.
type Describe struct {
	Name        string  `json:"name"`
	Label       string  `json:"label"`
	LabelPlural string  `json:"labelPlural"`
	KeyPrefix   string  `json:"keyPrefix"` // first three characters of ids
	Custom      bool    `json:"custom"`
	Queryable   bool    `json:"queryable"`
	Fields      []Field `json:"fields"`
}

// Field is what is used of a field's description.
type Field struct {
	Name         string `json:"name"`
	Label        string `json:"label"`
	HelpText     string `json:"inlineHelpText"`
	Type         string `json:"type"`     // "string", "datetime", "currency", "address" ...
	SOAPType     string `json:"soapType"` // "xsd:string", "urn:address" ...
	Length       int    `json:"length"`   // in characters
	Precision    int    `json:"precision"`
	Scale        int    `json:"scale"`
	Digits       int    `json:"digits"`
	Nillable     bool   `json:"nillable"`
	Custom       bool   `json:"custom"`
	Calculated   bool   `json:"calculated"`
	ExternalID   bool   `json:"externalId"`
	CompoundName string `json:"compoundFieldName"` // of the compound that the field is part of
	// ReferenceTo names the objects that a reference may point to.
	ReferenceTo      []string   `json:"referenceTo"`
	RelationshipName string     `json:"relationshipName"`
	PicklistValues   []Picklist `json:"picklistValues"`
}

// Picklist is one value of a picklist. Records hold Value; values that are no
// longer active may still be on records.
type Picklist struct {
	Value  string `json:"value"`
	Label  string `json:"label"`
	Active bool   `json:"active"`
}

// Describe returns the description of an object, such as "Account", "Invoice__c",
// "AccountChangeEvent" or "Low_Ink__e". Fields that the user may not see are not
// in it.
func (c *Client) Describe(ctx context.Context, sobject string) (*Describe, error) {
	name, err := pathPart("object name", sobject)
	if err != nil {
		return nil, err
	}
	var description Describe
	if err := c.Get(ctx, "/sobjects/"+name+"/describe", &description); err != nil {
		return nil, err
	}
	return &description, nil
}
