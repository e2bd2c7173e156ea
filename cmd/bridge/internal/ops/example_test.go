package ops_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/ops"
)

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	server := ops.New(ops.Config{
		Listen:   "127.0.0.1:0",
		Version:  "v1.2.3",
		Registry: ops.NewRegistry("v1.2.3", func() ops.Snapshot { return ops.Snapshot{} }),
		Ready: func() ops.Report {
			return ops.Report{Reasons: []ops.Reason{{Stream: "/event/Order__e", State: "halted", Message: "the channel does not exist"}}}
		},
	})
	if err := server.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+server.Addr()+"/readyz", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := io.ReadAll(response.Body)
	fmt.Println(response.StatusCode, err)
	fmt.Print(string(body))
	fmt.Println(response.Body.Close(), server.Shutdown(ctx))
	// Output:
	// 503 <nil>
	// {
	//   "ready": false,
	//   "reasons": [
	//     {
	//       "stream": "/event/Order__e",
	//       "state": "halted",
	//       "message": "the channel does not exist"
	//     }
	//   ]
	// }
	// <nil> <nil>
}
