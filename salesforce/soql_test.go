package salesforce_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

func TestSOQL(t *testing.T) {
	at := time.Date(2026, 3, 4, 10, 15, 22, 999_999_999, time.FixedZone("", 3600))
	text := func(s string) salesforce.Condition { return salesforce.Where("Name", "=", salesforce.TextLiteral(s)) }
	for want, where := range map[string]salesforce.Condition{
		``: {},
		` WHERE Name = 'O\'Hara \\ \"x\" \n\r\t\u0000\u2028 ü'`: text("O'Hara \\ \"x\" \n\r\t\x00\u2028 \u00fc"),
		` WHERE Name = ''`:                                     text(""),
		` WHERE Name = '\' OR Name != \''`:                     text("' OR Name != '"),
		` WHERE OwnerId != '005xx000001SvogAAC'`:               salesforce.Where("OwnerId", "!=", salesforce.IDLiteral("005xx000001Svog")),
		` WHERE SystemModstamp >= 2026-03-04T09:15:22Z`:        salesforce.Where("SystemModstamp", ">=", salesforce.TimeLiteral(at)),
		` WHERE CloseDate < 2026-03-04`:                        salesforce.Where("CloseDate", "<", salesforce.DateLiteral(at)),
		` WHERE Owner.Name = null`:                             salesforce.Where("Owner.Name", "=", salesforce.NullLiteral()),
		` WHERE N__c > -9223372036854775808`:                   salesforce.Where("N__c", ">", salesforce.NumberLiteral(-1<<63)),
		` WHERE N__c IN (1,2)`:                                 salesforce.WhereIn("N__c", salesforce.NumberLiteral(1), salesforce.NumberLiteral(2)),
		` WHERE (Name = 'a' AND (Name = 'b' OR B__c = false))`: salesforce.AllOf(salesforce.Condition{}, text("a"), salesforce.AnyOf(text("b"), salesforce.Where("B__c", "=", salesforce.BoolLiteral(false)))),
		` WHERE (NOT (Name = 'a' AND Name = 'b'))`:             salesforce.Not(salesforce.AllOf(text("a"), text("b"))),
		` WHERE Name = 'only'`:                                 salesforce.AllOf(salesforce.AllOf(), text("only")),
		` WHERE Name = 'any'`:                                  salesforce.AnyOf(text("any")),
		` WHERE Name = 'x'`:                                    salesforce.AllOf(text("x"), salesforce.AnyOf(text("y"), salesforce.Condition{})),
	} {
		query := salesforce.Query{Object: "Account", Fields: []string{"Id", "Owner.Name"}, Where: where}
		got, err := query.SOQL()
		if err != nil || got != "SELECT Id, Owner.Name FROM Account"+want {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
	ordered := salesforce.Query{Object: "A__c", Fields: []string{"Id"}, OrderBy: []salesforce.Order{{Field: "X"}, {Field: "Id", Descending: true}}, Limit: 7}
	if got, err := ordered.SOQL(); err != nil || got != "SELECT Id FROM A__c ORDER BY X, Id DESC LIMIT 7" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestSOQLRefuses(t *testing.T) {
	good := salesforce.TextLiteral("x")
	long := make([]salesforce.Literal, 30)
	for i := range long {
		long[i] = salesforce.TextLiteral(strings.Repeat("x", 4000))
	}
	for name, query := range map[string]salesforce.Query{
		"object":        {Object: "Account WHERE x", Fields: []string{"Id"}},
		"no fields":     {Object: "Account"},
		"field":         {Object: "Account", Fields: []string{"Id FROM User--"}},
		"field, empty":  {Object: "Account", Fields: []string{"Owner."}},
		"order":         {Object: "Account", Fields: []string{"Id"}, OrderBy: []salesforce.Order{{Field: "Id,X"}}},
		"limit":         {Object: "Account", Fields: []string{"Id"}, Limit: -1},
		"operator":      {Object: "Account", Fields: []string{"Id"}, Where: salesforce.Where("Name", "LIKE", good)},
		"where, field":  {Object: "Account", Fields: []string{"Id"}, Where: salesforce.Where("Na me", "=", good)},
		"in, field":     {Object: "Account", Fields: []string{"Id"}, Where: salesforce.WhereIn("Na'me", good)},
		"in, none":      {Object: "Account", Fields: []string{"Id"}, Where: salesforce.WhereIn("Name")},
		"in, empty":     {Object: "Account", Fields: []string{"Id"}, Where: salesforce.WhereIn("Name", good, salesforce.Literal{})},
		"id":            {Object: "Account", Fields: []string{"Id"}, Where: salesforce.Where("Id", "=", salesforce.IDLiteral("x' OR Id != '"))},
		"time":          {Object: "Account", Fields: []string{"Id"}, Where: salesforce.Where("T", "=", salesforce.TimeLiteral(time.Time{}))},
		"text":          {Object: "Account", Fields: []string{"Id"}, Where: salesforce.Where("T", "=", salesforce.TextLiteral(strings.Repeat("ü", 4001)))},
		"not UTF-8":     {Object: "Account", Fields: []string{"Id"}, Where: salesforce.Where("T", "=", salesforce.TextLiteral("\xff"))},
		"not everybody": {Object: "Account", Fields: []string{"Id"}, Where: salesforce.Not(salesforce.Condition{})},
		"within":        {Object: "Account", Fields: []string{"Id"}, Where: salesforce.Not(salesforce.AnyOf(salesforce.Where("T", "=", good), salesforce.Where("T", "=", salesforce.Literal{})))},
		"too long":      {Object: "Account", Fields: []string{"Id"}, Where: salesforce.WhereIn("T", long...)},
	} {
		var wrong *salesforce.ConfigError
		if soql, err := query.SOQL(); !errors.As(err, &wrong) {
			t.Errorf("%s: %s, %v", name, soql, err)
		}
	}
}

func TestExplain(t *testing.T) {
	var asked string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path + " " + r.URL.Query().Get("explain")
		if strings.Contains(asked, "Wrong__c") {
			answer(400, "application/json", `[{"errorCode":"INVALID_FIELD","message":"No such column 'Wrong__c'"}]`)(w, r)
			return
		}
		answer(200, "application/json", `{"plans":[{"cardinality":2843473,"fields":["CreatedDate"],"leadingOperationType":"Index","notes":[],`+
			`"relativeCost":0.65,"sobjectCardinality":2843473,"sobjectType":"Merchandise__c"}]}`)(w, r)
	})
	client := newClient(t, server, "x")
	plans, err := client.Explain(wait(t), salesforce.Query{Object: "Merchandise__c", Fields: []string{"Id"}, All: true})
	if err != nil || len(plans) != 1 || plans[0].Operation != "Index" || plans[0].RelativeCost != 0.65 || plans[0].Cardinality != 2843473 {
		t.Errorf("%+v, %v", plans, err)
	}
	if asked != "/services/data/v66.0/queryAll SELECT Id FROM Merchandise__c" {
		t.Errorf("asked %s", asked)
	}
	var refused *salesforce.APIError
	if _, err := client.Explain(wait(t), salesforce.Query{Object: "A", Fields: []string{"Wrong__c"}}); !errors.As(err, &refused) || refused.Code != "INVALID_FIELD" {
		t.Errorf("%v", err)
	}
	if _, err := client.Explain(wait(t), salesforce.Query{}); err == nil || client.Calls() != 2 {
		t.Errorf("%v after %d calls", err, client.Calls())
	}
}
