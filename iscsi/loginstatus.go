package iscsi

import "fmt"

// LoginStatus is Status-Class and Status-Detail of a Login Response (RFC 7143 §11.13.5), the class
// in the upper byte.
type LoginStatus uint16

// The login statuses.
const (
	LoginSuccess              LoginStatus = 0x0000
	LoginTargetMovedTemporary LoginStatus = 0x0101
	LoginTargetMovedPermanent LoginStatus = 0x0102
	LoginInitiatorError       LoginStatus = 0x0200
	LoginAuthFailure          LoginStatus = 0x0201
	LoginForbidden            LoginStatus = 0x0202
	LoginNotFound             LoginStatus = 0x0203
	LoginTargetRemoved        LoginStatus = 0x0204
	LoginUnsupportedVersion   LoginStatus = 0x0205
	LoginTooManyConnections   LoginStatus = 0x0206
	LoginMissingParameter     LoginStatus = 0x0207
	LoginCannotInclude        LoginStatus = 0x0208
	LoginSessionType          LoginStatus = 0x0209
	LoginSessionDoesNotExist  LoginStatus = 0x020a
	LoginInvalidDuringLogin   LoginStatus = 0x020b
	LoginTargetError          LoginStatus = 0x0300
	LoginServiceUnavailable   LoginStatus = 0x0301
	LoginOutOfResources       LoginStatus = 0x0302
)

// Class returns the Status-Class: 0 success, 1 redirection, 2 initiator error, 3 target error.
func (s LoginStatus) Class() byte { return byte(s >> 8) }

// Detail returns the Status-Detail.
func (s LoginStatus) Detail() byte { return byte(s) }

// String returns the status as "02/01 authentication failure".
func (s LoginStatus) String() string {
	return fmt.Sprintf("%02x/%02x %s", s.Class(), s.Detail(), s.name())
}

// name returns the status in words, as RFC 7143 §11.13.5 does.
func (s LoginStatus) name() string {
	switch s {
	case LoginSuccess:
		return "success"
	case LoginTargetMovedTemporary:
		return "target moved temporarily"
	case LoginTargetMovedPermanent:
		return "target moved permanently"
	case LoginInitiatorError:
		return "initiator error"
	case LoginAuthFailure:
		return "authentication failure"
	case LoginForbidden:
		return "authorization failure"
	case LoginNotFound:
		return "target not found"
	case LoginTargetRemoved:
		return "target removed"
	case LoginUnsupportedVersion:
		return "unsupported version"
	case LoginTooManyConnections:
		return "too many connections"
	case LoginMissingParameter:
		return "missing parameter"
	case LoginCannotInclude:
		return "cannot include in session"
	case LoginSessionType:
		return "session type not supported"
	case LoginSessionDoesNotExist:
		return "session does not exist"
	case LoginInvalidDuringLogin:
		return "invalid during login"
	case LoginTargetError:
		return "target error"
	case LoginServiceUnavailable:
		return "service unavailable"
	case LoginOutOfResources:
		return "out of resources"
	}
	return "unknown status"
}
