package salesforce_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/sfbridge/bridge/salesforce"
)

// Read the rows of an object, the cheaper way.
func ExampleReader_Open() {
	client, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens:     salesforce.NewTokenSource(grantFunc(exampleGrant)),
		APIVersion: "66.0",
		HTTP:       &http.Client{Transport: newRowsOrg(2)}, // in place of an org
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	reader, err := salesforce.NewReader(salesforce.ReaderConfig{Client: client})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Client.Describe gives this.
	account := &salesforce.Describe{Name: "Account", Fields: []salesforce.Field{
		{Name: "Id", Type: "id"}, {Name: "Name", Type: "string"}, {Name: "Note__c", Type: "textarea"},
		{Name: "IsDeleted", Type: "boolean"}, {Name: "SystemModstamp", Type: "datetime"},
	}}
	form, err := salesforce.NewForm(salesforce.FormConfig{Describe: account})
	if err != nil {
		fmt.Println(err)
		return
	}
	rows, err := reader.Open(context.Background(), salesforce.Selection{
		Form:  form,
		Where: salesforce.Where("Name", "!=", salesforce.TextLiteral("O'Hara")),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err) // call Next again if it is Retryable
			break
		}
		fmt.Printf("%s %s %s\n", row.ID, row.Modstamp.Format("15:04:05"), row.JSON)
	}
	if err := rows.Close(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 001xx0000000001AAA 09:15:22 {"Name":"Acme","Note__c":"Acme"}
	// 001xx0000000002AAA 09:15:22 {"Note__c":"Acme"}
}

func exampleGrant(context.Context) (salesforce.Token, error) {
	return salesforce.Token{Access: "00Dxx0000001gPL!AQ4AQPx", InstanceURL: "https://acme.example"}, nil
}
