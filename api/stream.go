package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const streamType = "application/x-ndjson"

// streamed says in the OpenAPI document that an operation answers one T a line.
func streamed[T any](api huma.API, op *huma.Operation) {
	schema := huma.SchemaFromType(api.OpenAPI().Components.Schemas, reflect.TypeFor[T]())
	op.Responses[strconv.Itoa(http.StatusOK)] = &huma.Response{
		Description: "One JSON object a line",
		Content:     map[string]*huma.MediaType{streamType: {Schema: schema}},
	}
}

// stream answers with one JSON object a line, each sent at once. An error before the first line is
// a problem document; after it, failed makes the last line of it, or the stream just ends if failed
// is nil.
func stream[T any](run func(emit func(T) error) error, failed func(*Error) T) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		_, w := humago.Unwrap(ctx)
		flush := http.NewResponseController(w)
		started := false
		emit := func(line T) error {
			if !started {
				w.Header().Set("Content-Type", streamType)
				w.WriteHeader(http.StatusOK)
				started = true
			}
			if err := json.NewEncoder(w).Encode(line); err != nil {
				return err
			}
			return flush.Flush()
		}
		err := revoked(ctx.Context(), run(emit))
		switch {
		case err == nil && !started:
			w.Header().Set("Content-Type", streamType) // no line is an answer too
		case err == nil:
		case !started:
			writeError(w, asError(err))
		case failed != nil && ctx.Context().Err() == nil:
			_ = emit(failed(asError(err))) // the caller is gone if this fails; nobody is left to tell
		}
	}}
}

// failedOperation makes the last line of an operation that failed.
func failedOperation(verb, object string) func(*Error) Operation {
	return func(e *Error) Operation {
		return Operation{Verb: verb, Object: object, State: OperationFailed, Message: e.Message,
			Error: e}
	}
}

// writeError answers with a problem document. A caller that went away is not told.
func writeError(w http.ResponseWriter, e *Error) {
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(e)
}
