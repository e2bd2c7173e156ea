package salesforce_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

func TestVersions(t *testing.T) {
	list := `[{"label":"Spring '06","url":"/services/data/v9.0","version":"9.0"},` +
		`{"label":"Spring '26","url":"/services/data/v66.0","version":"66.0"},` +
		`{"label":"Winter '24","url":"/services/data/v59.0","version":"59.0"}]`
	for name, tc := range map[string]struct{ list, want, part string }{
		"newest in the middle": {list: list, want: "66.0"},
		"minor":                {list: `[{"version":"66.10"},{"version":"66.9"},{"version":"66.1"}]`, want: "66.10"},
		"three digits":         {list: `[{"version":"100.0"},{"version":"99.0"}]`, want: "100.0"},
		"none":                 {list: `[]`, part: "no version"},
		"not a number":         {list: `[{"version":"66.0"},{"version":"next"}]`, part: `"next"`},
		"no list":              {list: `{}`, part: "another shape"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int64
			var last string
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				last = r.URL.Path
				answer(200, "application/json", tc.list)(w, r)
			})
			client, err := salesforce.NewClient(salesforce.ClientConfig{Tokens: fixedTokens(t, server, "x")})
			if err != nil {
				t.Fatal(err)
			}
			version, err := client.APIVersion(wait(t))
			if tc.part != "" {
				if err == nil || !strings.Contains(err.Error(), tc.part) || salesforce.Retryable(err) {
					t.Fatalf("%q, %v", version, err)
				}
				if _, err := client.EventSchema(wait(t), "x"); err == nil {
					t.Error("a schema without a version")
				}
				return
			}
			if err != nil || version != tc.want || last != "/services/data/" {
				t.Fatalf("%q, %v, asked %s", version, err, last)
			}
			if again, err := client.APIVersion(wait(t)); err != nil || again != version || asked.Load() != 1 {
				t.Errorf("%q, %v, asked %d times", again, err, asked.Load())
			}
			if err := client.Get(wait(t), "/limits", nil); err != nil || last != "/services/data/v"+tc.want+"/limits" {
				t.Errorf("asked %s, %v", last, err)
			}
		})
	}
	client := newClient(t, serve(t, answer(200, "application/json", list)), "x")
	versions, err := client.Versions(wait(t))
	if err != nil || len(versions) != 3 || versions[1] != (salesforce.Version{Label: "Spring '26", URL: "/services/data/v66.0", Version: "66.0"}) {
		t.Errorf("%v, %v", versions, err)
	}
}

func TestEventSchemas(t *testing.T) {
	// Spaces, key order and a long number must survive.
	const schema = `{"name":"Low_Ink__e" , "type":"record","fields":[],"uuid":"5E5OtZj5_Gm6Vax9XMXH9A","x":12345678901234567890}`
	var asked string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.RequestURI
		answer(200, "application/json", schema+"\n")(w, r)
	})
	client := newClient(t, server, "x")
	byID := func(id string) ([]byte, error) { return client.EventSchema(wait(t), id) }
	byName := func(name string) ([]byte, error) { return client.EventSchemaByName(wait(t), name) }
	for _, tc := range []struct {
		ask       func(string) ([]byte, error)
		key, want string
	}{
		{byID, "5E5OtZj5_Gm6Vax9XMXH9A", "/services/data/v66.0/event/eventSchema/5E5OtZj5_Gm6Vax9XMXH9A?payloadFormat=COMPACT"},
		{byID, "a/b?c#d e%", "/services/data/v66.0/event/eventSchema/a%2Fb%3Fc%23d%20e%25?payloadFormat=COMPACT"},
		{byName, "AccountChangeEvent", "/services/data/v66.0/sobjects/AccountChangeEvent/eventSchema?payloadFormat=COMPACT"},
		{byName, "../x", "/services/data/v66.0/sobjects/..%2Fx/eventSchema?payloadFormat=COMPACT"},
	} {
		got, err := tc.ask(tc.key)
		if err != nil || string(got) != schema || asked != tc.want {
			t.Errorf("%q: %s, %v, asked %s", tc.key, got, err, asked)
		}
	}
	for _, bad := range []string{"", ".", ".."} {
		var config *salesforce.ConfigError
		for _, ask := range []func(string) ([]byte, error){byID, byName} {
			if _, err := ask(bad); !errors.As(err, &config) {
				t.Errorf("%q: %v", bad, err)
			}
		}
		if _, err := client.Describe(t.Context(), bad); !errors.As(err, &config) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	missing := newClient(t, serve(t, answer(404, "application/json",
		`[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]`)), "x")
	var refused *salesforce.APIError
	if _, err := missing.EventSchema(wait(t), "x"); !errors.As(err, &refused) || refused.Code != "NOT_FOUND" {
		t.Errorf("got %v", err)
	}
}

func TestDescribe(t *testing.T) {
	var asked string
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Path
		answer(200, "application/json", `{"name":"Account","label":"Account","labelPlural":"Accounts","keyPrefix":null,"custom":false,
			"queryable":true,"fields":[{"name":"OwnerId","label":"Owner ID","inlineHelpText":null,"type":"reference","soapType":"tns:ID",
			"length":18,"nillable":false,"compoundFieldName":null,"referenceTo":["User"],"relationshipName":"Owner","picklistValues":[]},
			{"name":"Rating","type":"picklist","soapType":"xsd:string","nillable":true,"relationshipName":null,
			"picklistValues":[{"active":false,"defaultValue":false,"label":"Heiß","validFor":null,"value":"Hot"}]}],"urls":{}}`)(w, r)
	})
	got, err := newClient(t, server, "x").Describe(wait(t), "Account")
	if err != nil {
		t.Fatal(err)
	}
	if asked != "/services/data/v66.0/sobjects/Account/describe" || got.Name != "Account" || got.KeyPrefix != "" || len(got.Fields) != 2 {
		t.Fatalf("asked %s, got %+v", asked, got)
	}
	owner, rating := got.Fields[0], got.Fields[1]
	if owner.Type != "reference" || owner.SOAPType != "tns:ID" || owner.Length != 18 || owner.Nillable || owner.ReferenceTo[0] != "User" ||
		rating.RelationshipName != "" || rating.PicklistValues[0] != (salesforce.Picklist{Value: "Hot", Label: "Heiß"}) {
		t.Errorf("got %+v", got.Fields)
	}
	refusing := newClient(t, serve(t, answer(404, "application/json", `[{"errorCode":"NOT_FOUND","message":"x"}]`)), "x")
	if _, err := refusing.Describe(wait(t), "Nothing"); err == nil {
		t.Error("no error")
	}
}

func TestOrganization(t *testing.T) {
	client := newClient(t, "https://acme.example", "x")
	if id, err := client.Organization(t.Context()); err != nil || id != orgID18 {
		t.Errorf("%q, %v", id, err)
	}
	for name, tc := range map[string]struct {
		status           int
		body, want, part string
	}{
		"15 characters": {200, `{"organization_id":"` + orgID15 + `"}`, orgID18, ""},
		"none":          {200, `{}`, "", "0 characters"},
		"not an org":    {200, `{"organization_id":"` + userID18 + `"}`, "", "00D"},
		"refused":       {404, `[{"errorCode":"NOT_FOUND","message":"x"}]`, "", "NOT_FOUND"},
	} {
		server := serve(t, answer(tc.status, "application/json", tc.body))
		unnamed := salesforce.NewTokenSource(grantFunc(func(context.Context) (salesforce.Token, error) {
			return salesforce.Token{Access: "x", InstanceURL: server}, nil
		}))
		client, err := salesforce.NewClient(salesforce.ClientConfig{Tokens: unnamed})
		if err != nil {
			t.Fatal(err)
		}
		id, err := client.Organization(wait(t))
		if id != tc.want || (err == nil) != (tc.part == "") || !strings.Contains(fmt.Sprint(err), tc.part) {
			t.Errorf("%s: %q, %v", name, id, err)
		}
	}
	lost := salesforce.NewTokenSource(grantFunc(func(context.Context) (salesforce.Token, error) { return salesforce.Token{}, errLogin }))
	client, err := salesforce.NewClient(salesforce.ClientConfig{Tokens: lost})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Organization(t.Context()); !errors.Is(err, errLogin) {
		t.Errorf("got %v", err)
	}
	if err := client.Get(t.Context(), "/services/x", nil); !errors.Is(err, errLogin) {
		t.Errorf("got %v", err)
	}
}
