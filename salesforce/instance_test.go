package salesforce_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

func TestInstanceName(t *testing.T) {
	for name, tc := range map[string]struct {
		status           int
		body, want, part string
	}{
		"name":       {200, `{"totalSize":1,"done":true,"records":[{"attributes":{"type":"Organization"},"InstanceName":"USA412S"}]}`, "USA412S", ""},
		"no row":     {200, `{"totalSize":0,"done":true,"records":[]}`, "", "no InstanceName"},
		"no name":    {200, `{"totalSize":1,"done":true,"records":[{"InstanceName":null}]}`, "", "no InstanceName"},
		"two rows":   {200, `{"records":[{"InstanceName":"A"},{"InstanceName":"B"}]}`, "", "no InstanceName"},
		"no such":    {400, `[{"errorCode":"INVALID_TYPE","message":"sObject type 'Organization' is not supported."}]`, "", "INVALID_TYPE"},
		"no records": {200, `[]`, "", "another shape"},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
				if q := r.URL.Query().Get("q"); q != "SELECT InstanceName FROM Organization" {
					t.Errorf("asked %s", q)
				}
				answer(tc.status, "application/json", tc.body)(w, r)
			}), "x")
			got, err := client.InstanceName(wait(t))
			if got != tc.want || (err == nil) != (tc.part == "") || err != nil && (!strings.Contains(err.Error(), tc.part) || salesforce.Retryable(err)) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
