package orgsim

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sfbridge/bridge/salesforce"
)

// issued is a login that always gives one token.
type issued salesforce.Token

func (i issued) Exchange(context.Context) (salesforce.Token, error) { return salesforce.Token(i), nil }

// restClient is the product's own client of the REST API.
func restClient(t *testing.T, o *Org) *salesforce.Client {
	t.Helper()
	access, err := o.Issue("")
	check(t, err)
	client, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens:     salesforce.NewTokenSource(issued{Access: salesforce.Secret(access), InstanceURL: inProcess}),
		APIVersion: "66.0", HTTP: &http.Client{Transport: o.RoundTripper()},
	})
	check(t, err)
	return client
}

// TestCountOfChangedRows: what a watch asks, by the client that asks it. Rows of
// the second of the last event do not count, deleted ones do not, others' do not.
func TestCountOfChangedRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{})
		client := restClient(t, o)
		count := func(object string, after time.Time, want int) {
			t.Helper()
			if n, err := client.CountModified(t.Context(), object, after, time.Now()); err != nil || n != want {
				t.Errorf("%s after %v: %d, %v, want %d", object, after, n, err, want)
			}
		}
		create := func(object string, fields Fields) string {
			t.Helper()
			id, err := o.Create(object, fields)
			check(t, err)
			return id
		}
		begin := time.Now()
		wait(2500 * time.Millisecond)
		first := create("Account", Fields{"Name": "first"})
		event := time.Now()
		wait(2 * time.Second)
		count("Account", event, 0)
		count("Account", begin, 1)
		gone := create("Account", Fields{"Name": "gone"})
		create("Contact", Fields{"LastName": "other"})
		create("Invoice__c", nil)
		wait(time.Minute)
		count("Account", event, 1)
		count("Account", begin, 2)
		count("Invoice__c", event, 1)
		check(t, o.Delete("Account", gone))
		check(t, o.Update("Account", first, Fields{"Name": "changed"}))
		wait(time.Minute)
		count("Account", event, 1)
		count("Account", time.Now().Add(-30*time.Second), 0)
		var refused *salesforce.APIError
		if _, err := client.CountModified(t.Context(), "Nothing", begin, time.Now()); !errors.As(err, &refused) || refused.Code != "INVALID_TYPE" {
			t.Errorf("an unknown object: %v", err)
		}
	})
}

// TestLimitsOfTheClient: the org counts the calls that the client counts.
func TestLimitsOfTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrg(t, Config{DailyAPIRequests: 50})
		client := restClient(t, o)
		for want := int64(49); want > 45; want-- {
			limits, err := client.Limits(t.Context())
			requests := limits["DailyApiRequests"]
			if err != nil || requests != (salesforce.Limit{Max: 50, Remaining: want}) || requests.Max-requests.Remaining != int64(client.Calls()) {
				t.Fatalf("%v, %v after %d calls", requests, err, client.Calls())
			}
		}
	})
}
