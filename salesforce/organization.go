package salesforce

import (
	"context"
	"fmt"
)

// Organization returns the 18-character id of the org that the token belongs to.
// It comes with the token; a login whose reply named no org asks the userinfo
// resource (Salesforce help, "User Info").
func (c *Client) Organization(ctx context.Context) (string, error) {
	token, err := c.tokens.Token(ctx)
	if err != nil {
		return "", err
	}
	if token.OrgID != "" {
		return token.OrgID, nil
	}
	var info struct {
		OrganizationID string `json:"organization_id"`
	}
	if err := c.Get(ctx, "/services/oauth2/userinfo", &info); err != nil {
		return "", fmt.Errorf("asking whose token this is: %w", err)
	}
	return orgID(info.OrganizationID)
}
