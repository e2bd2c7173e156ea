package salesforce

import (
	"context"
	"fmt"
	"net/url"
	"strings"
)

// PushTopic is what is used of a PushTopic (Streaming API Developer Guide,
// "PushTopic").
type PushTopic struct {
	ID    string `json:"Id"`
	Name  string `json:"Name"`  // of the channel /topic/<Name>
	Query string `json:"Query"` // which object, which fields, which records
}

// NoPushTopicError says that the org shows no PushTopic of a name.
type NoPushTopicError struct {
	Name string
	// Near is the name of one that differs only in case, empty if there is none.
	Near string
}

func (e *NoPushTopicError) Error() string {
	try := "create it, or grant the user read access to the object PushTopic"
	if e.Near != "" {
		try = "/topic/" + e.Near + ", since names of channels are case-sensitive"
	}
	return fmt.Sprintf("the org shows no PushTopic %s to this user; try: %s", quote(e.Name), try)
}

// PushTopic returns the PushTopic of a name. One that is not there, or that the
// user may not read, is a [*NoPushTopicError] or an [*APIError] with the code
// INVALID_TYPE.
func (c *Client) PushTopic(ctx context.Context, name string) (*PushTopic, error) {
	if name == "" {
		return nil, &ConfigError{Field: "PushTopic name", Problem: "is empty", Try: "the name behind /topic/"}
	}
	soql := "SELECT Id, Name, Query FROM PushTopic WHERE Name = '" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(name) + "'"
	var got struct {
		Records []PushTopic `json:"records"`
	}
	if err := c.Get(ctx, "/query?q="+url.QueryEscape(soql), &got); err != nil {
		return nil, err
	}
	missing := &NoPushTopicError{Name: name}
	for i := range got.Records {
		if got.Records[i].Name == name { // SOQL compares texts without case
			return &got.Records[i], nil
		}
		missing.Near = got.Records[i].Name
	}
	return nil, missing
}
