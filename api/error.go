package api

import (
	"errors"
	"fmt"
	"net/http"
)

// Code says what kind of error it is, for programs.
type Code string

// The codes.
const (
	CodeInvalid      Code = "invalid"      // the request contradicts itself or the state
	CodeNotFound     Code = "not_found"    // no such object
	CodeExists       Code = "exists"       // the name is taken
	CodeBusy         Code = "busy"         // another holder or state is in the way
	CodeRefused      Code = "refused"      // the caller may not, or the coordinators refused
	CodeUnauthorized Code = "unauthorized" // the caller has not shown who it is
	CodeFailed       Code = "failed"       // it was tried and did not work
	CodeTimeout      Code = "timeout"      // not done in time; it may still come about
	CodeNoLeader     Code = "no_leader"    // no coordinator leads now, nothing was done: ask again
	CodeUnknown      Code = "unknown"      // whether it was done is not known: ask again
	CodeInternal     Code = "internal"     // a fault of the server
)

// Error is a problem document (RFC 9457): which object, what is wrong, what to do.
type Error struct {
	Status  int          `json:"status" doc:"HTTP status"`
	Title   string       `json:"title"`
	Code    Code         `json:"code,omitempty"`
	Object  string       `json:"object,omitempty" doc:"volume/web1, node/n2 …"`
	Message string       `json:"detail" doc:"what is wrong, with the object named"`
	Hint    string       `json:"hint,omitempty" doc:"what to do"`
	Errors  []FieldError `json:"errors,omitempty" doc:"faults of single fields"`
}

// FieldError is one fault of a request's field.
type FieldError struct {
	Message  string `json:"message,omitempty"`
	Location string `json:"location,omitempty"`
}

// Errorf makes an Error about an object. Hint may be empty.
func Errorf(code Code, object, hint, format string, args ...any) *Error {
	status := code.status()
	return &Error{
		Status: status, Title: http.StatusText(status), Code: code,
		Object: object, Message: fmt.Sprintf(format, args...), Hint: hint,
	}
}

// Error returns the message with the faults of fields and the hint.
func (e *Error) Error() string {
	text := e.Message
	for _, d := range e.Errors {
		text += fmt.Sprintf("; %s: %s", d.Location, d.Message)
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// GetStatus returns the HTTP status.
func (e *Error) GetStatus() int { return e.Status }

// ContentType makes the answer a problem document.
func (e *Error) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// again reports whether the same request is to be made again.
func (c Code) again() bool { return c == CodeNoLeader || c == CodeUnknown }

func (c Code) status() int {
	switch c {
	case CodeInvalid:
		return http.StatusUnprocessableEntity
	case CodeNotFound:
		return http.StatusNotFound
	case CodeExists, CodeBusy, CodeFailed:
		return http.StatusConflict
	case CodeUnauthorized:
		return http.StatusUnauthorized
	case CodeRefused:
		return http.StatusForbidden
	case CodeTimeout:
		return http.StatusGatewayTimeout
	case CodeNoLeader, CodeUnknown:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// asError returns err as an *Error; one that is none becomes an internal error that shows its text.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Errorf(CodeInternal, "", "", "%s", err)
}
