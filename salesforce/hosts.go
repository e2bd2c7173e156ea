package salesforce

import (
	"regexp"
	"strings"
)

// The general login hosts. An org's administrator can close them, so that logins
// go by the org's My Domain only.
const (
	ProductionLoginURL = "https://login.salesforce.com" // production and developer orgs
	SandboxLoginURL    = "https://test.salesforce.com"  // sandboxes and scratch orgs
)

// clouds are the domains that have login hosts of their own: the public cloud
// (with Government Cloud Plus), the one for defence, and the one in China.
func clouds() []string { return []string{"salesforce.com", "salesforce.mil", "sfcrmproducts.cn"} }

// SharedLogin says whether a host serves the logins of all orgs of a cloud, as
// login.salesforce.com and test.salesforce.com do, and so knows no flow that needs
// the org to be named, such as client credentials.
func SharedLogin(host string) bool {
	host = strings.ToLower(host)
	for _, cloud := range clouds() {
		if host == "login."+cloud || host == "test."+cloud {
			return true
		}
	}
	return false
}

// AudienceFor returns the audience of JWT assertions that the org of a login host
// takes (Salesforce help, "OAuth 2.0 JWT Bearer Flow"): the general login host of
// the org's cloud, test for sandboxes and scratch orgs. The hosts of the clouds
// beside salesforce.com follow its pattern. A host that is none of these, such as
// an Experience Cloud site's, gets ProductionLoginURL.
func AudienceFor(host string) string {
	host = strings.ToLower(host)
	if host == "gs1.salesforce.com" || strings.HasSuffix(host, ".gs1.my.salesforce.com") {
		return "https://gs1.salesforce.com" // the first government instance is its own login host
	}
	for _, cloud := range clouds() {
		rest, ok := strings.CutSuffix(host, "."+cloud)
		switch {
		case !ok:
		case isSandbox(rest):
			return "https://test." + cloud
		default:
			return "https://login." + cloud
		}
	}
	return ProductionLoginURL
}

// isSandbox looks at a host without the cloud's domain. Before enhanced domains,
// the instance was part of the name, and only sandboxes were on instances cs<n>.
func isSandbox(rest string) bool {
	return rest == "test" || strings.HasSuffix(rest, ".sandbox.my") || strings.HasSuffix(rest, ".scratch.my") ||
		regexp.MustCompile(`(^|\.)cs[0-9]+(\.my)?$`).MatchString(rest)
}
