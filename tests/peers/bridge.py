"""Carries TCP connections on a loopback port to a Unix socket, for tools that know only TCP.

    bridge.py SOCKET PORT-FILE

The port is chosen by the kernel and written to PORT-FILE.
"""
import asyncio
import os
import sys


async def carry(reader, writer):
    """One direction. Its end is the other side's end."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def serve(socket, port_file):
    async def on_connection(reader, writer):
        try:
            other_reader, other_writer = await asyncio.open_unix_connection(socket)
        except OSError:
            writer.close()
            return
        back = asyncio.create_task(carry(other_reader, writer))
        forth = asyncio.create_task(carry(reader, other_writer))
        # When the daemon closes, nobody is left to talk to.
        await back
        writer.close()
        await forth
        other_writer.close()

    server = await asyncio.start_server(on_connection, '127.0.0.1', 0)
    with open(port_file + '.new', 'w', encoding='ascii') as file:
        file.write(str(server.sockets[0].getsockname()[1]))
    os.rename(port_file + '.new', port_file)
    await server.serve_forever()


if __name__ == '__main__':
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
