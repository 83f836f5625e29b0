package target

import "github.com/holdfast-storage/holdfast/iscsi"

// handleLogout ends the session, whose only connection this is. The answer is sent when no command
// runs any more.
func (c *conn) handleLogout() error {
	req, err := iscsi.ParseLogoutRequest(&c.header)
	if err != nil {
		return c.rejectAndEnd(iscsi.RejectProtocolError, "%w", err)
	}
	if taken, err := c.accept(); !taken {
		return err
	}
	if req.Reason == iscsi.CloseSession || req.Reason == iscsi.CloseConnection {
		c.logout = &req
		return errLoggedOut
	}
	c.postLogoutResponse(req.ITT, iscsi.LogoutRecoveryNotSupported)
	return nil
}

func (c *conn) answerLogout() { c.postLogoutResponse(c.logout.ITT, iscsi.LogoutClosed) }

func (c *conn) postLogoutResponse(itt uint32, code iscsi.LogoutResponseCode) {
	resp := iscsi.LogoutResponse{Response: code, ITT: itt,
		Time2Wait: uint16(c.session.params.DefaultTime2Wait)}
	var h iscsi.BHS
	resp.Encode(&h)
	c.mu.Lock()
	c.post(&h, nil)
	c.mu.Unlock()
}
