# The service, and nothing that only development needs.
FROM python:3.12-slim
WORKDIR /app
COPY constraints.txt ./
RUN pip install --no-cache-dir --require-hashes -r constraints.txt
COPY api api
COPY ingest ingest
COPY rules rules
COPY simulator simulator
RUN useradd --system --no-create-home chargewatch && install -d -o chargewatch /var/lib/chargewatch
USER chargewatch
ENV PYTHONPATH=/app CHARGEWATCH_DATA_DIR=/var/lib/chargewatch
VOLUME /var/lib/chargewatch
ENTRYPOINT ["python", "-P", "-m", "api"]
CMD ["serve"]
