"""A TCP proxy before Redis that knows RESP, so that a fault can hit one reply and not its halves.

It forwards whole commands and whole replies, and knows which reply answers which command. Faults
are set from the test's thread and hold for all connections, those made later included. What was
under way when a fault is set still passes or not as the fault says.
"""

import asyncio
import collections
import dataclasses
import socket
import struct
import threading

import resp

_READ_BYTES = 1 << 16
_START_SECONDS = 10


@dataclasses.dataclass
class Faults:
    """What happens to frames now."""
    delay_s: float = 0.0            # of every command and of every reply
    stall_commands: bool = False    # what the client sends is swallowed, nothing is closed
    stall_replies: bool = False     # what the server sends is swallowed, nothing is closed
    refuse: bool = False            # new connections are reset
    planned: collections.deque = dataclasses.field(default_factory=collections.deque)


# What can be planned for one reply to a script call.
LOSE = "lose"            # the command is executed, then the connection is reset
CUT = "cut"              # half of the reply arrives, then the connection is closed
DUPLICATE = "duplicate"  # the reply arrives twice: no network does that, a broken proxy may
SWALLOW = "swallow"      # the reply does not arrive, later ones do: likewise
HOLD = "hold"            # the reply comes HOLD_SECONDS later, and all that follow it
HOLD_SECONDS = 0.1


class FaultProxy:
    """Listens on a port of 127.0.0.1 until close()."""

    def __init__(self, target):
        """`target`: (host, port), or the path of a Unix socket."""
        self._target = target
        self._faults = Faults()
        self._links = set()
        self.connections = 0     # accepted so far, refused ones included
        self.scripts = 0         # EVAL and EVALSHA commands passed on to the server
        self.injected = collections.Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    # ---- faults, from the test's thread

    def delay(self, seconds):
        self._set(delay_s=seconds)

    def stall(self, commands=False, replies=False):
        """A half-open connection: one direction is silent, neither end is told."""
        self._set(stall_commands=commands, stall_replies=replies)

    def refuse(self):
        """Resets all connections, and every new one."""
        self._set(refuse=True)
        self.reset_all()

    def plan(self, *kinds):
        """One fault for each of the next script replies, in the order given; None lets one pass."""
        self._run(self._do(lambda: self._faults.planned.extend(kinds)))

    def planned(self):
        return len(self._faults.planned)

    def heal(self):
        """Ends all faults. Connections that were stalled are reset: what they lost stays lost, as
        when a network comes back after one end gave up."""
        stalled = self._faults.stall_commands or self._faults.stall_replies
        self._run(self._do(lambda: setattr(self, "_faults", Faults())))
        if stalled:
            self.reset_all()

    def reset_all(self):
        self._run(self._do(lambda: [link.reset() for link in list(self._links)]))

    def open_connections(self):
        return len(self._links)

    def close(self):
        async def close():
            self._server.close()
            for link in list(self._links):
                link.reset()
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()
        self._run(close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)
        self._loop.close()

    def _set(self, **values):
        def apply():
            for name, value in values.items():
                setattr(self._faults, name, value)
        self._run(self._do(apply))

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_START_SECONDS)

    @staticmethod
    async def _do(function):
        function()

    # ---- the loop's thread

    async def _accept(self, reader, writer):
        self.connections += 1
        if self._faults.refuse:
            _reset(writer)
            return
        try:
            if isinstance(self._target, tuple):
                server = await asyncio.open_connection(*self._target)
            else:
                server = await asyncio.open_unix_connection(self._target)
        except OSError:
            _reset(writer)  # nobody listens there: as near to a refused connection as can be
            return
        link = _Link(self, (reader, writer), server)
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)
            link.reset()


class _Link:
    """One connection of a client and its twin to the server."""

    def __init__(self, proxy, client, server):
        self._proxy = proxy
        self._client_reader, self._client = client
        self._server_reader, self._server = server
        self._commands = collections.deque()  # whether a script call, per reply still owed
        self._ends_well = False
        for writer in (self._client, self._server):
            connection = writer.get_extra_info("socket")
            if connection.family == socket.AF_INET:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def reset(self):
        _reset(self._client)
        _reset(self._server)

    async def run(self):
        pumps = [asyncio.ensure_future(pump) for pump in (
            self._pump(self._client_reader, self._server, self._command),
            self._pump(self._server_reader, self._client, self._reply))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader, writer, handle):
        """Ends when either side does, or when a fault resets the connection."""
        splitter = resp.Splitter()
        queue = asyncio.Queue()
        sender = asyncio.ensure_future(_send(queue, writer))
        try:
            while data := await reader.read(_READ_BYTES):
                due = self._proxy._loop.time() + self._proxy._faults.delay_s
                for frame in splitter.feed(data):
                    if not handle(frame, queue, due):
                        await queue.join()
                        if self._ends_well:
                            writer.close()
                        return
        except OSError:
            pass
        finally:
            sender.cancel()

    def _command(self, frame, queue, due):
        faults = self._proxy._faults
        if faults.stall_commands:
            return True
        script = frame[:24].upper().find(b"EVAL") >= 0
        self._commands.append(script)
        self._proxy.scripts += script
        queue.put_nowait((due, frame))
        return True

    def _reply(self, frame, queue, due):
        """False: the connection ends after what is queued."""
        faults = self._proxy._faults
        script = self._commands.popleft() if self._commands else False
        if faults.stall_replies:
            return True
        kind = faults.planned.popleft() if script and faults.planned else None
        if kind is not None:
            self._proxy.injected[kind] += 1
        if kind == LOSE:
            return False
        if kind == CUT:
            queue.put_nowait((due, frame[:len(frame) // 2]))
            self._ends_well = True
            return False
        if kind == SWALLOW:
            return True
        if kind == HOLD:
            due += HOLD_SECONDS
        queue.put_nowait((due, frame))
        if kind == DUPLICATE:
            queue.put_nowait((due, frame))
        return True


async def _send(queue, writer):
    """Writes each frame when it is due, never before one that came earlier."""
    loop = asyncio.get_running_loop()
    while True:
        due, frame = await queue.get()
        # Below a millisecond the timer of the loop is coarser than the delay.
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        try:
            writer.write(frame)
        except OSError:
            pass  # the reading side notices
        queue.task_done()


def _reset(writer):
    """Closes at once with RST where the transport has one: what was not read is lost."""
    if writer.transport.is_closing():
        return
    connection = writer.get_extra_info("socket")
    if connection.family == socket.AF_INET:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
