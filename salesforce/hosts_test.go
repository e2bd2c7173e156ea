package salesforce_test

import (
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

func TestAudienceFor(t *testing.T) {
	const production, sandbox = "https://login.salesforce.com", "https://test.salesforce.com"
	for host, want := range map[string]string{
		"login.salesforce.com":                            production,
		"acme.my.salesforce.com":                          production,
		"acme-dev-ed.develop.my.salesforce.com":           production,
		"na139.salesforce.com":                            production,
		"test.salesforce.com":                             sandbox,
		"TEST.salesforce.com":                             sandbox,
		"acme--dev.sandbox.my.salesforce.com":             sandbox,
		"velocity-ability-5816.scratch.my.salesforce.com": sandbox,
		"cs42.salesforce.com":                             sandbox,
		"acme--dev.cs42.my.salesforce.com":                sandbox,
		"cs42acme.my.salesforce.com":                      production,
		"acmecs42.my.salesforce.com":                      production,
		"sandbox.my.salesforce.com":                       production,
		"gs1.salesforce.com":                              "https://gs1.salesforce.com",
		"acme.gs1.my.salesforce.com":                      "https://gs1.salesforce.com",
		"acme.my.salesforce.mil":                          "https://login.salesforce.mil",
		"acme--dev.sandbox.my.salesforce.mil":             "https://test.salesforce.mil",
		"login.sfcrmproducts.cn":                          "https://login.sfcrmproducts.cn",
		"acme--dev.sandbox.my.sfcrmproducts.cn":           "https://test.sfcrmproducts.cn",
		"acme.my.site.com":                                production,
		"evilsalesforce.com":                              production,
		"test.salesforce.com.evil.example":                production,
		"":                                                production,
	} {
		if got := salesforce.AudienceFor(host); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

func TestSharedLogin(t *testing.T) {
	for host, want := range map[string]bool{
		"login.salesforce.com": true, "Test.salesforce.com": true, "login.salesforce.mil": true, "login.sfcrmproducts.cn": true,
		"acme.my.salesforce.com": false, "login.salesforce.com.evil.example": false, "": false,
	} {
		if got := salesforce.SharedLogin(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}
