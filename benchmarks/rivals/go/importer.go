// The worker's job on the AWS SDK for Go v2: SQS event -> items -> BatchWriteItem, as a well-written importer does it.
//
// Settings that help: one client, 32 goroutines with batches of 25 and keep-alive connections for each of them, items
// made as attribute values directly (no reflection by attributevalue.Marshal), no logging, GOMAXPROCS=1 since a Lambda
// function of 1,769 MB has one core (with more, Go's scheduler spins on the pinned core). GOGC=400: fewer collections.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const inFlight = 32

type message struct {
	Object struct {
		Modified int64 `json:"modified"`
	} `json:"object"`
	ProcessedAt string `json:"processedAt"`
	// [number, name, mail, phone]: decoding into `any` is one pass; a type with UnmarshalJSON would scan each row twice.
	Rows [][]any `json:"rows"`
}

type event struct {
	Records []struct {
		Body string `json:"body"`
	} `json:"Records"`
}

type specification struct {
	Task   string `json:"task"`
	Event  string `json:"event"`
	Warmup int    `json:"warmup"`
	Repeat int    `json:"repeat"`
}

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

func write(client *dynamodb.Client, table string, batch []types.WriteRequest) error {
	pending := map[string][]types.WriteRequest{table: batch}
	for len(pending) > 0 {
		reply, err := client.BatchWriteItem(context.Background(), &dynamodb.BatchWriteItemInput{RequestItems: pending})
		if err != nil {
			return err
		}
		pending = reply.UnprocessedItems
	}
	return nil
}

func work(client *dynamodb.Client, table string, in event) (int, error) {
	batches := make(chan []types.WriteRequest, inFlight)
	failures := make(chan error, inFlight)
	var workers sync.WaitGroup
	for i := 0; i < inFlight; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for batch := range batches {
				if err := write(client, table, batch); err != nil {
					failures <- err
					for range batches { // let the sender finish
					}
					return
				}
			}
		}()
	}
	count := 0
	for _, record := range in.Records {
		var m message
		if err := json.Unmarshal([]byte(record.Body), &m); err != nil {
			return 0, err
		}
		batch := make([]types.WriteRequest, 0, 25)
		for _, r := range m.Rows {
			item := map[string]types.AttributeValue{
				"name":        text(r[1].(string)),
				"email":       text(r[2].(string)),
				"phone":       text(r[3].(string)),
				"processedAt": text(m.ProcessedAt),
				"createdAt":   &types.AttributeValueMemberN{Value: fmt.Sprintf("%d.%012d", m.Object.Modified, int64(r[0].(float64)))},
			}
			batch = append(batch, types.WriteRequest{PutRequest: &types.PutRequest{Item: item}})
			if len(batch) == 25 {
				batches <- batch
				batch = make([]types.WriteRequest, 0, 25)
			}
		}
		if len(batch) > 0 {
			batches <- batch
		}
		count += len(m.Rows)
	}
	close(batches)
	workers.Wait()
	select {
	case err := <-failures:
		return 0, err
	default:
		return count, nil
	}
}

func processorTime() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// CLOCK_MONOTONIC, which processes of one machine share.
func monotonic() float64 {
	var now syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&now)), 0)
	if errno != 0 {
		panic(errno)
	}
	return float64(now.Nano()) / 1e9
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	imported := monotonic()
	var spec specification
	data, err := os.ReadFile(os.Args[1])
	must(err)
	must(json.Unmarshal(data, &spec))
	var in event
	data, err = os.ReadFile(spec.Event)
	must(err)
	must(json.Unmarshal(data, &in))

	httpClient := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 2 * inFlight
	})
	options := []func(*config.LoadOptions) error{config.WithHTTPClient(httpClient)}
	settings, err := config.LoadDefaultConfig(context.Background(), options...)
	must(err)
	client := dynamodb.NewFromConfig(settings, func(o *dynamodb.Options) {
		// This version of the SDK does not read AWS_ENDPOINT_URL yet.
		o.EndpointResolver = dynamodb.EndpointResolverFromURL(os.Getenv("AWS_ENDPOINT_URL"))
	})
	table := os.Getenv("TABLE_NAME")

	total, records := 0, 0
	for i := 0; i < spec.Warmup; i++ {
		count, err := work(client, table, in)
		must(err)
		total += count
	}
	answered := monotonic()
	began, spent := time.Now(), processorTime()
	for i := 0; i < spec.Repeat; i++ {
		count, err := work(client, table, in)
		must(err)
		records += count
	}
	wall, cpu := time.Since(began).Seconds(), processorTime()-spent
	status, err := os.ReadFile("/proc/self/status")
	must(err)
	peak, err := strconv.Atoi(string(regexp.MustCompile(`VmHWM:\s+(\d+)`).FindSubmatch(status)[1]))
	must(err)
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"records": records, "total_records": total + records, "wall": wall, "cpu": cpu, "peak_kb": peak,
		"imported_at": imported, "first_answer_at": answered,
	}))
}
