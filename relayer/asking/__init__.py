"""Questions of callers that take their time: asked, answered as they can be proven, and followed as they change."""
