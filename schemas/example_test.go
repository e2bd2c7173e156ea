package schemas_test

import (
	"context"
	"fmt"

	"github.com/sfbridge/bridge/schemas"
	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// A schema is fetched by the id that an event carries and registered under the
// subject of the topic that the event goes to.
func Example() {
	salesforce := schemas.FetcherFunc(func(context.Context, string) ([]byte, error) {
		return []byte(`{"name":"Low_Ink__e","namespace":"com.sforce.eventbus","type":"record","fields":[
			{"name":"CreatedDate","type":"long","doc":"CreatedDate:DateTime"}],"uuid":"dffQ2QLzDNHqwB8_sHMxdA"}`), nil
	})
	fake := srfake.New()
	defer fake.Close()

	registry, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{fake.URL()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	schema, err := schemas.NewCatalog(salesforce).Schema(ctx, "dffQ2QLzDNHqwB8_sHMxdA")
	if err != nil {
		fmt.Println(err)
		return
	}
	subject := schemas.TopicSubject.Subject("salesforce.Low_Ink__e", schema)
	id, err := registry.Register(ctx, subject, schema)
	fmt.Println(subject, id, err)
	fmt.Println(string(schema.JSON))
	// Output:
	// salesforce.Low_Ink__e-value 1 <nil>
	// {"type":"record","name":"Low_Ink__e","namespace":"com.sforce.eventbus","fields":[{"name":"CreatedDate","type":["null",{"type":"long","logicalType":"timestamp-millis"}],"doc":"CreatedDate:DateTime","default":null}]}
}
